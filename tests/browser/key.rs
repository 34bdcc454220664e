//! Names of keys as people write them (`Control+k`, `Enter`) → what a keyboard sends for them.

use serde_json::{Value, json};

const MODIFIERS: [(&str, u32); 4] = [("Alt", 1), ("Control", 2), ("Meta", 4), ("Shift", 8)];

/// Keys without a text of their own, with their codes in Windows, which Chromium asks for.
const NAMED: [(&str, u32); 14] = [
    ("Backspace", 8),
    ("Tab", 9),
    ("Enter", 13),
    ("Escape", 27),
    ("Space", 32),
    ("PageUp", 33),
    ("PageDown", 34),
    ("End", 35),
    ("Home", 36),
    ("ArrowLeft", 37),
    ("ArrowUp", 38),
    ("ArrowRight", 39),
    ("ArrowDown", 40),
    ("Delete", 46),
];

/// Returns the params of `Input.dispatchKeyEvent` for a key, without `type`.
pub fn event(name: &str) -> Value {
    let mut modifiers = 0;
    let mut key = name;
    while let Some((first, rest)) = key.split_once('+').filter(|(_, rest)| !rest.is_empty()) {
        modifiers |= MODIFIERS.iter().find(|(name, _)| *name == first).unwrap().1;
        key = rest;
    }
    if let Some((_, code)) = NAMED.iter().find(|(name, _)| *name == key) {
        let text = match key {
            "Enter" => "\r",
            "Space" => " ",
            _ => "",
        };
        let shown = if key == "Space" { " " } else { key };
        return json!({
            "key": shown, "code": key, "windowsVirtualKeyCode": code, "text": text,
            "modifiers": modifiers,
        });
    }
    let letter = key.chars().next().unwrap();
    assert_eq!(key.chars().count(), 1, "no key `{name}`");
    let upper = letter.to_ascii_uppercase();
    let code = match upper {
        'A'..='Z' => format!("Key{upper}"),
        '0'..='9' => format!("Digit{upper}"),
        '/' | '?' => "Slash".to_owned(),
        _ => String::new(),
    };
    if letter.is_ascii_uppercase() || letter == '?' {
        modifiers |= 8;
    }
    // A key with Control or Alt writes nothing.
    let text = if modifiers & 7 == 0 { key } else { "" };
    json!({
        "key": key, "code": code, "text": text, "modifiers": modifiers,
        "windowsVirtualKeyCode": if upper.is_ascii_alphanumeric() { u32::from(upper) } else { 0 },
    })
}
