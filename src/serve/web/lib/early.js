// Sets the theme before the first paint. The only script that is not a module.
{
  const theme = localStorage.getItem("repro.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
