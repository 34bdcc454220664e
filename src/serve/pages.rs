//! The pages: one shell, and for each page a title and the module that fills it.

use hyper::Method;
use minijinja::{AutoEscape, Environment, context};

use super::assets;
use super::http::{Answer, Refusal, Request, Response};
use super::state::State;

/// Template of all pages.
const SHELL: &str = "shell.html";

/// The values by which pages differ.
struct Page<'a> {
    /// Name of its module, `pages/NAME.js`.
    name: &'a str,
    title: &'a str,
    /// Text that is shown without a module.
    message: &'a str,
}

/// Answers requests for pages.
pub(super) fn route(state: &State, request: &Request) -> Option<Answer> {
    if request.method != Method::GET {
        return None;
    }
    let (name, title) = match &request.segments()[..] {
        [] => ("home", "Home"),
        ["runs"] => ("runs", "Runs"),
        ["runs", run] => ("run", *run),
        ["compare"] => ("compare", "Compare"),
        ["pipeline"] => ("pipeline", "Pipeline"),
        ["pipeline", stage] => ("stage", *stage),
        ["lineage", _] | ["lineage", _, _] => ("lineage", "Lineage"),
        ["models"] => ("models", "Models"),
        _ => return None,
    };
    let project = state.root.file_name().unwrap_or_default().to_string_lossy();
    Some(Ok(Response::html(shell(&Page { name, title, message: "" }, &project))))
}

/// Returns the page that says why a request is refused. It has a form for the token if that is
/// missing.
pub(super) fn refusal(refusal: &Refusal) -> Response {
    let name = if refusal.code == "UNAUTHENTICATED" { "token" } else { "" };
    let title = refusal.status.canonical_reason().unwrap_or("Error");
    let page = Page { name, title, message: &refusal.message };
    Response::html(shell(&page, "")).with_status(refusal.status)
}

fn shell(page: &Page<'_>, project: &str) -> String {
    let mut env = Environment::new();
    env.set_auto_escape_callback(|_| AutoEscape::Html);
    let &Page { name, title, message } = page;
    let version = env!("CARGO_PKG_VERSION");
    let values = context! { name, title, message, project, version };
    match env.render_named_str(SHELL, &assets::template(SHELL), values) {
        Ok(page) => page,
        Err(err) => panic!("BUG: the shell is not a valid template: {err}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let hostile = "<script>\"'&";
        let page = shell(&Page { name: "run", title: hostile, message: hostile }, hostile);
        assert!(!page.contains("<script>\""), "{page}");
        assert!(page.contains("&lt;script&gt;&quot;&#x27;&amp;"), "{page}");
    }
}
