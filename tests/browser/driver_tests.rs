//! The driver itself: it sees faults, and it types and clicks like a user.

use crate::driver::{Page, Theme};

/// Returns the address of a page with this body.
fn address(body: &str) -> String {
    let head = "<!doctype html><html lang=en><title>t</title><body>";
    let text: String = format!("{head}{body}").bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("data:text/html,{text}")
}

fn page(body: &str) -> Option<Page> {
    Page::open(&address(body))
}

#[test]
fn faults_are_seen() {
    for (body, fault) in [
        ("<script>console.error('loud')</script>", "loud"),
        ("<script>null.x</script>", "TypeError"),
        ("<script>Promise.reject(new Error('late'))</script>", "late"),
        (
            "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\"><p style='x'>",
            "Content Security Policy",
        ),
        ("<img src=http://127.0.0.1:1/x.png>", "ERR_"),
    ] {
        let Some(mut page) = page(body) else { return };
        let faults = page.take_faults().join("\n");
        assert!(faults.contains(fault), "{body}: {faults}");
    }
}

#[test]
fn keys_and_clicks_arrive() {
    let Some(mut page) = page(
        "<label>box <input></label> <button>other</button> <button>press</button><ol></ol>
         <script>
         const say = (text) => document.querySelector('ol').append(`${text} `);
         onclick = ({ target }) => say(target.innerText);
         onkeydown = ({ key, ctrlKey }) => say(ctrlKey ? `^${key}` : key);
         </script>",
    ) else {
        return;
    };
    page.click_text("button", "press");
    page.press("Control+k");
    page.press("ArrowDown");
    assert_eq!(page.texts("ol"), ["press ^k ArrowDown"]);
    page.click("input");
    page.type_text("a <B?> 1");
    assert_eq!(page.evaluate("document.querySelector('input').value"), "a <B?> 1");
}

#[test]
fn media_are_emulated() {
    let Some(mut page) = page("<p>x") else { return };
    page.theme(Theme::Dark);
    page.width(390);
    assert_eq!(page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches"), true);
    assert_eq!(page.evaluate("innerWidth"), 390);
}

#[test]
fn audit_finds_contrast() {
    let good = "<main><h1>x</h1><p>some text</main>";
    let Some(mut page) = page(good) else { return };
    page.audit();
    page.go(&address(&good.replace("<p>", "<p style='color: #bbb; width: 400px'>")));
    let world = page.axe();
    let found = page.violations(world).join("\n");
    assert!(found.contains("color-contrast: p:"), "{found}");
}

#[test]
#[should_panic(expected = "px wide")]
fn audit_finds_overflow() {
    let wide = "<main><h1>x</h1><p style='width: 400px'>some text</main>";
    page(wide).expect("px wide").audit();
}

#[test]
fn history_and_pictures() {
    let Some(mut page) = page("<p>first <b>word</b>") else { return };
    page.hover("b");
    page.wait("document.querySelector('b').matches(':hover')");
    page.go("data:text/html,<title>t</title>second");
    page.see("second");
    page.reload();
    page.back();
    page.see("first");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.png");
    page.screenshot(&path);
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.ends_with(b"IEND\xAE\x42\x60\x82"));
}

#[test]
fn vendored_files_are_unmodified() {
    let folder = std::path::Path::new("tests/browser/vendor");
    let mut listed = Vec::new();
    for name in crate::sandbox::files(folder).iter().filter(|name| *name != "manifest.txt") {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        listed.push(format!("{}  {name}", repro::digest::Digest::of(&bytes)));
    }
    let manifest = std::fs::read_to_string(folder.join("manifest.txt")).unwrap();
    let known = manifest.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    assert_eq!(known.collect::<Vec<_>>(), listed);
}
