//! A page in a browser, as a user has it: addresses, clicks, keys, the size of the window and
//! the colour scheme, and what is seen.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::key;
use crate::pool::Browser;

/// Time for a condition to come true. No result depends on it: it turns a hang into a failure.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Page {
    browser: Browser,
    /// The profile of this page, which shares nothing with those of other tests.
    profile: Value,
    session: String,
    /// Errors on the console, failed requests and violations of the security policy.
    faults: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

impl Theme {
    pub fn name(self) -> &'static str {
        match self {
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

impl Page {
    /// Opens an address in a window with a profile of its own; `None` if there is no browser.
    ///
    /// A test has one page at a time, as it would wait for itself when all browsers are taken.
    pub fn open(url: &str) -> Option<Page> {
        let mut browser = Browser::borrow()?;
        let mut root = |method: &str, params: Value, result: &str| {
            browser.connection().call(None, method, &params).unwrap()[result].take()
        };
        let profile = root("Target.createBrowserContext", json!({}), "browserContextId");
        let blank = json!({ "url": "about:blank", "browserContextId": profile });
        let target = root("Target.createTarget", blank, "targetId");
        let attach = json!({ "targetId": target, "flatten": true });
        let session = root("Target.attachToTarget", attach, "sessionId");
        let session = session.as_str().unwrap().to_owned();
        let mut page = Page { browser, profile, session, faults: Vec::new() };
        for domain in ["Page", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.width(1280);
        page.theme(Theme::Light);
        page.go(url);
        Some(page)
    }

    /// Opens another address in the same window and waits until it is loaded.
    pub fn go(&mut self, url: &str) {
        let before = self.evaluate("performance.timeOrigin");
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer.get("errorText").is_none(), "{url}: {answer}");
        // An address that differs in its fragment only loads nothing.
        if answer.get("loaderId").is_some() {
            self.loaded_after(&before);
        }
    }

    pub fn reload(&mut self) {
        let before = self.evaluate("performance.timeOrigin");
        self.call("Page.reload", json!({}));
        self.loaded_after(&before);
    }

    fn loaded_after(&mut self, before: &Value) {
        let is_complete = "document.readyState === 'complete'";
        self.wait(&format!("{is_complete} && performance.timeOrigin !== {before}"));
    }

    /// Goes back in the history of the window.
    pub fn back(&mut self) {
        // Later than the answer, which would be lost with the page.
        self.evaluate("void setTimeout(() => history.back())");
    }

    /// Returns path, query and fragment of the address.
    pub fn address(&mut self) -> String {
        self.text_of("location.pathname + location.search + location.hash")
    }

    pub fn width(&mut self, width: u32) {
        self.size(width, if width < 600 { 844 } else { 800 });
    }

    /// Makes the window as high as its page, so that all of it is drawn.
    pub fn unfold(&mut self) {
        let size = self.evaluate("[innerWidth, document.documentElement.scrollHeight]");
        let [width, height]: [u32; 2] = serde_json::from_value(size).unwrap();
        self.size(width, height.min(4000));
    }

    fn size(&mut self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    pub fn theme(&mut self, theme: Theme) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": theme.name() },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Returns the value of a JavaScript expression; a promise is awaited.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        self.try_evaluate(expression).unwrap_or_else(|err| panic!("{err}: {expression}"))
    }

    fn try_evaluate(&mut self, expression: &str) -> Result<Value, String> {
        self.try_evaluate_in(None, expression)
    }

    /// Returns a new world on this page: scripts in it share nothing with those of the page but
    /// what is shown.
    pub fn isolated_world(&mut self) -> u64 {
        let frame = self.call("Page.getFrameTree", json!({}))["frameTree"]["frame"]["id"].take();
        let world = self.call("Page.createIsolatedWorld", json!({ "frameId": frame }));
        world["executionContextId"].as_u64().unwrap()
    }

    pub fn evaluate_in(&mut self, world: u64, expression: &str) -> Value {
        self.try_evaluate_in(Some(world), expression).unwrap()
    }

    fn try_evaluate_in(&mut self, world: Option<u64>, expression: &str) -> Result<Value, String> {
        let mut params = json!({
            "expression": expression,
            "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        if let Some(world) = world {
            params["contextId"] = world.into();
        }
        let session = Some(self.session.as_str());
        let mut answer = self.browser.connection().call(session, "Runtime.evaluate", &params)?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(details["exception"]["description"].to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Waits until a JavaScript expression is true, and returns its value. An expression that
    /// throws is not true yet.
    pub fn wait(&mut self, condition: &str) -> Value {
        let script = format!(
            "new Promise((done) => {{
               const end = Date.now() + 1000;
               const check = () => {{
                 let value, error;
                 try {{ value = ({condition}); }} catch (caught) {{ error = String(caught); }}
                 if (value) done([value]);
                 else if (Date.now() > end) done([null, error]);
                 else setTimeout(check, 10);
               }};
               check();
             }})"
        );
        let start = Instant::now();
        loop {
            // The page may be replaced while the promise waits; then the next one is asked.
            let last = match self.try_evaluate(&script) {
                Ok(mut answer) if answer[0] != Value::Null => return answer[0].take(),
                Ok(mut answer) => answer[1].take(),
                Err(error) => Value::from(error),
            };
            if start.elapsed() > LIMIT {
                self.collect_faults();
                let (address, shown) = (self.address(), self.text_of("document.body.innerText"));
                panic!(
                    "not true within {LIMIT:?} on {address}: {condition} ({last})\n\
                     faults: {:?}\n--- shown\n{shown}",
                    self.faults
                );
            }
            thread::yield_now();
        }
    }

    /// Waits until a page of the dashboard has drawn its first content.
    pub fn ready(&mut self) {
        self.wait("document.querySelector('main[aria-busy=false]')");
    }

    /// Waits until nothing was loaded for a while. Only pictures depend on it.
    pub fn settle(&mut self) {
        let start = self.evaluate("performance.now()");
        self.wait(&format!(
            "performance.now() - Math.max({start}, ...performance.getEntriesByType('resource')
               .map((entry) => entry.responseEnd)) > 500"
        ));
    }

    /// Waits until the page shows a text.
    pub fn see(&mut self, text: &str) {
        self.wait(&format!("document.body.innerText.includes({})", Value::from(text)));
    }

    /// Returns the texts of the elements that a CSS selector matches.
    pub fn texts(&mut self, selector: &str) -> Vec<String> {
        let list = format!(
            "[...document.querySelectorAll({})].map((found) => found.innerText.trim())",
            Value::from(selector)
        );
        serde_json::from_value(self.evaluate(&list)).unwrap()
    }

    fn text_of(&mut self, expression: &str) -> String {
        self.evaluate(expression).as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on the first element that a CSS selector matches, once it can be hit.
    pub fn click(&mut self, selector: &str) {
        self.click_at(&format!("document.querySelector({})", Value::from(selector)), "left");
    }

    /// Clicks on the element that a CSS selector matches and that has this text or name.
    pub fn click_text(&mut self, selector: &str, text: &str) {
        self.click_at(&named(selector, text), "left");
    }

    fn click_at(&mut self, element: &str, button: &str) {
        let [x, y] = self.place(element);
        for kind in ["mousePressed", "mouseReleased"] {
            self.mouse(kind, x, y, button);
        }
    }

    /// Moves the pointer over the first element that a CSS selector matches.
    pub fn hover(&mut self, selector: &str) {
        let [x, y] = self.place(&format!("document.querySelector({})", Value::from(selector)));
        self.mouse("mouseMoved", x, y, "none");
    }

    fn mouse(&mut self, kind: &str, x: f64, y: f64, button: &str) {
        let params = json!({
            "type": kind, "x": x, "y": y, "button": button,
            "clickCount": u8::from(kind != "mouseMoved"),
        });
        self.call("Input.dispatchMouseEvent", params);
    }

    /// Waits until the middle of an element is visible and nothing covers it.
    fn place(&mut self, element: &str) -> [f64; 2] {
        let place = format!(
            "(() => {{
               const found = {element};
               found.scrollIntoViewIfNeeded();
               const {{ x, y, width, height }} = found.getBoundingClientRect();
               const at = [x + width / 2, y + height / 2];
               const hit = document.elementFromPoint(...at);
               return width > 0 && (found.contains(hit) || hit.contains(found)) ? at : null;
             }})()"
        );
        serde_json::from_value(self.wait(&place)).unwrap()
    }

    /// Presses and releases a key, such as `j`, `Enter` or `Control+k`.
    pub fn press(&mut self, name: &str) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = key::event(name);
            event["type"] = kind.into();
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types a text, key by key.
    pub fn type_text(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                ' ' => self.press("Space"),
                letter => self.press(&letter.to_string()),
            }
        }
    }

    /// Writes a picture of the window as PNG.
    pub fn screenshot(&mut self, path: &Path) {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, decode(picture["data"].as_str().unwrap())).unwrap();
    }

    /// Returns the faults since the last call, which then fail no test.
    pub fn take_faults(&mut self) -> Vec<String> {
        // What the page reported before its answer arrives before it.
        self.evaluate("0");
        self.collect_faults();
        std::mem::take(&mut self.faults)
    }

    /// Forgets requests that the server refused with this status; the browser reports each.
    pub fn forgive(&mut self, status: u16) {
        let text = format!("with a status of {status} ");
        let faults = self.take_faults();
        assert!(faults.iter().any(|fault| fault.contains(&text)), "no {status}: {faults:?}");
        self.faults.extend(faults.into_iter().filter(|fault| !fault.contains(&text)));
    }

    fn collect_faults(&mut self) {
        let events = std::mem::take(&mut self.browser.connection().events);
        // The others are of pages that were closed.
        let own = events.iter().filter(|event| event["sessionId"] == self.session.as_str());
        self.faults.extend(own.filter_map(fault));
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        let session = Some(self.session.as_str());
        self.browser.connection().call(session, method, &params).unwrap_or_else(|err| {
            panic!("{method}: {err}; {params}");
        })
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(self.take_faults(), Vec::<String>::new());
            let profile = json!({ "browserContextId": self.profile });
            let connection = self.browser.connection();
            connection.call(None, "Target.disposeBrowserContext", &profile).unwrap();
        }
    }
}

/// Returns the expression for the first element with this text or accessible name.
fn named(selector: &str, text: &str) -> String {
    let (selector, text) = (Value::from(selector), Value::from(text));
    format!(
        "[...document.querySelectorAll({selector})].find((found) =>
           found.innerText.trim().replace(/\\s+/g, ' ') === {text}
             || found.getAttribute('aria-label') === {text})"
    )
}

/// Returns the text of an event that reports a fault.
fn fault(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            Some(params["exceptionDetails"]["exception"]["description"].to_string())
        }
        "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params["args"].to_string()),
        "Log.entryAdded" if params["entry"]["level"] == "error" => {
            let entry = &params["entry"];
            // Scripts without an address come from the tests: axe-core tries styles.
            if entry["stackTrace"]["callFrames"][0]["url"] == "" {
                return None;
            }
            Some(format!("{}: {} ({})", entry["source"], entry["text"], entry["url"]))
        }
        _ => None,
    }
}

/// Decodes Base64.
fn decode(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = LETTERS.iter().position(|known| *known == letter).unwrap();
        bits = (bits << 6 | u32::try_from(value).unwrap()) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xFF).unwrap());
        }
    }
    bytes
}
