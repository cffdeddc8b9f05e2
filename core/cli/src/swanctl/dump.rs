//! Messages as they are: `--raw`, `--pretty` and `--json`.

use std::io::{self, Write};

use control::vici::{Element, Message};
use serde_json::{Map, Value};

/// How to show what the daemon says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    Raw,
    Pretty,
    Json,
}

/// On one line: `list-sa event {Tunnel1 {uniqueid=1 child-sas {}}}`.
pub(super) fn raw(label: &str, message: &Message, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{label} {{")?;
    raw_elements(&message.elements, out)?;
    writeln!(out, "}}")
}

fn raw_elements(elements: &[Element], out: &mut dyn Write) -> io::Result<()> {
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            write!(out, " ")?;
        }
        match element {
            Element::Value(key, value) => write!(out, "{key}={}", text(value))?,
            Element::List(key, items) => {
                let items: Vec<String> = items.iter().map(|item| text(item)).collect();
                write!(out, "{key}=[{}]", items.join(" "))?;
            }
            Element::Section(key, inner) => {
                write!(out, "{key} {{")?;
                raw_elements(inner, out)?;
                write!(out, "}}")?;
            }
        }
    }
    Ok(())
}

/// One element a line, with two blanks more in each section.
pub(super) fn pretty(label: &str, message: &Message, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{label} {{")?;
    pretty_elements(&message.elements, "  ", out)?;
    writeln!(out, "}}")
}

fn pretty_elements(elements: &[Element], indent: &str, out: &mut dyn Write) -> io::Result<()> {
    for element in elements {
        match element {
            Element::Value(key, value) => writeln!(out, "{indent}{key} = {}", text(value))?,
            Element::List(key, items) => {
                writeln!(out, "{indent}{key} = [")?;
                for item in items {
                    writeln!(out, "{indent}  {}", text(item))?;
                }
                writeln!(out, "{indent}]")?;
            }
            Element::Section(key, inner) => {
                writeln!(out, "{indent}{key} {{")?;
                pretty_elements(inner, &format!("{indent}  "), out)?;
                writeln!(out, "{indent}}}")?;
            }
        }
    }
    Ok(())
}

/// Sections are objects, lists arrays, and values strings, as vici has them.
pub(super) fn json(message: &Message) -> Value {
    Value::Object(object(&message.elements))
}

fn object(elements: &[Element]) -> Map<String, Value> {
    let value = |element: &Element| match element {
        Element::Value(_, value) => Value::String(text(value)),
        Element::List(_, items) => items.iter().map(|item| Value::String(text(item))).collect(),
        Element::Section(_, inner) => Value::Object(object(inner)),
    };
    elements
        .iter()
        .map(|element| (element.name().to_owned(), value(element)))
        .collect()
}

/// A value; one that cannot be printed as hexadecimal digits.
fn text(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => octets
            .iter()
            .fold("0x".to_owned(), |text, octet| text + &format!("{octet:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::new()
            .section("net", |section| {
                section
                    .value("mode", "TUNNEL")
                    .list("ts", ["10.1.0.0/16", "dynamic"])
                    .section("empty", |it| it)
            })
            .octets("data", vec![0, 255])
    }

    fn shown(show: impl Fn(&str, &Message, &mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        show("list-conn event", &message(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn raw_is_one_line() {
        let expected = "list-conn event {net {mode=TUNNEL ts=[10.1.0.0/16 dynamic] empty {}} data=0x00ff}\n";
        assert_eq!(shown(raw), expected);
    }

    #[test]
    fn pretty_indents_what_is_inside() {
        let expected = "list-conn event {\n  net {\n    mode = TUNNEL\n    ts = [\n      10.1.0.0/16\n      dynamic\n    \
            ]\n    empty {\n    }\n  }\n  data = 0x00ff\n}\n";
        assert_eq!(shown(pretty), expected);
    }

    #[test]
    fn json_keeps_the_order() {
        let expected =
            r#"{"net":{"mode":"TUNNEL","ts":["10.1.0.0/16","dynamic"],"empty":{}},"data":"0x00ff"}"#;
        assert_eq!(json(&message()).to_string(), expected);
    }
}
