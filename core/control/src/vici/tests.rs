use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{Error, frame};

fn sample() -> Message {
    Message::new()
        .value("key1", "value1")
        .section("section1", |section| {
            section
                .section("sub-section", |sub| sub.value("key2", "value2"))
                .list("list1", ["item1", "item2"])
        })
        .flag("last", true)
}

#[test]
fn every_kind_of_element_has_its_layout() {
    let expected = b"\x03\x04key1\x00\x06value1\
        \x01\x08section1\
        \x01\x0bsub-section\x03\x04key2\x00\x06value2\x02\
        \x04\x05list1\x05\x00\x05item1\x05\x00\x05item2\x06\
        \x02\
        \x03\x04last\x00\x03yes";
    assert_eq!(sample().encode().unwrap(), expected);
    assert_eq!(Message::decode(expected).unwrap(), sample());
}

#[test]
fn dotted_paths_find_the_first_match() {
    let message = sample().value("key1", "again");
    assert_eq!(message.get_str("key1"), Some("value1"));
    assert_eq!(message.get_str("section1.sub-section.key2"), Some("value2"));
    assert_eq!(message.get_texts("section1.list1"), ["item1", "item2"]);
    assert_eq!(message.get_bool("last"), Some(true));
    assert_eq!(message.get_str("section1"), None, "a section is no value");
    assert_eq!(message.get_str("section1.sub-section.key3"), None);
    assert!(message.get_texts("none").is_empty());
}

#[test]
fn names_with_dots_are_found_too() {
    let message = Message::new()
        .section("a", |a| a.value("x", 1))
        .section("a.b", |ab| ab.value("c", 2))
        .section("a", |a| a.section("b", |b| b.value("d", 3)));
    assert_eq!(message.get_int("a.b.c"), Some(2));
    assert_eq!(message.get_int("a.b.d"), Some(3));
}

#[test]
fn numbers_are_read_as_c_reads_them() {
    for (text, number) in [
        ("0", 0),
        ("12", 12),
        ("-3", -3),
        ("010", 8),
        ("0x1F", 31),
        ("+7", 7),
        ("-0x10", -16),
    ] {
        assert_eq!(parse_int(text), Some(number), "{text}");
    }
    for text in [
        "",
        "-",
        "x",
        "0x",
        "1.5",
        "--1",
        "0x-1",
        "08",
        "99999999999999999999",
        " 1",
    ] {
        assert_eq!(parse_int(text), None, "{text}");
    }
    assert_eq!(parse_int("-9223372036854775808"), Some(i64::MIN));
}

#[test]
fn words_other_than_yes_and_no_are_neither() {
    for (text, value) in [
        ("yes", Some(true)),
        ("Disabled", Some(false)),
        ("1", Some(true)),
        ("maybe", None),
        ("", None),
    ] {
        assert_eq!(parse_bool(text), value, "{text}");
    }
}

#[test]
fn lists_hold_only_items() {
    let in_list = |octets: &[u8]| Message::decode(&[b"\x04\x01l", octets].concat());
    assert_eq!(
        in_list(b"\x03\x01k\x00\x00\x06"),
        Err(Error::Element { kind: 3, at: 3 })
    );
    assert_eq!(in_list(b"\x01\x01s"), Err(Error::Element { kind: 1, at: 3 }));
    assert_eq!(
        in_list(b"\x04\x01l\x06\x06"),
        Err(Error::Element { kind: 4, at: 3 })
    );
    assert_eq!(in_list(b"\x05\x00\x01x"), Err(Error::Unclosed(1)));
    assert_eq!(
        Message::decode(b"\x05\x00\x00"),
        Err(Error::Element { kind: 5, at: 0 })
    );
    assert_eq!(Message::decode(b"\x06"), Err(Error::Element { kind: 6, at: 0 }));
}

#[test]
fn sections_are_closed_as_often_as_opened() {
    assert_eq!(Message::decode(b"\x02"), Err(Error::Element { kind: 2, at: 0 }));
    assert_eq!(
        Message::decode(b"\x01\x01s\x02\x02"),
        Err(Error::Element { kind: 2, at: 4 })
    );
    assert_eq!(Message::decode(b"\x01\x01s"), Err(Error::Unclosed(1)));
    assert_eq!(Message::decode(b"\x00"), Err(Error::Element { kind: 0, at: 0 }));
    assert_eq!(Message::decode(b"\x07"), Err(Error::Element { kind: 7, at: 0 }));
}

#[test]
fn nesting_has_a_limit_in_both_directions() {
    let nested = |depth| {
        let mut elements = Vec::new();
        for _ in 0..depth {
            elements = vec![Element::Section("s".into(), elements)];
        }
        Message { elements }
    };
    let deepest = nested(MAX_DEPTH);
    assert_eq!(Message::decode(&deepest.encode().unwrap()), Ok(deepest));
    assert_eq!(nested(MAX_DEPTH + 1).encode(), Err(Error::TooDeep));
    let octets = b"\x01\x01s".repeat(frame::MAX_LEN / 3);
    assert_eq!(Message::decode(&octets), Err(Error::TooDeep));
}

#[test]
fn what_is_too_long_is_refused() {
    let value = |len: usize| Message::new().octets("k", vec![0; len]);
    assert!(value(65_535).encode().is_ok());
    assert_eq!(
        value(65_536).encode(),
        Err(Error::ValueLength {
            key: "k".into(),
            octets: 65_536
        })
    );
    assert!(Message::new().value(&"n".repeat(255), "").encode().is_ok());
    assert_eq!(
        Message::new().value(&"n".repeat(256), "").encode(),
        Err(Error::NameLength(256))
    );
    let many = (0..9).fold(Message::new(), |message, _| message.octets("k", vec![0; 65_000]));
    assert!(matches!(many.encode(), Err(Error::TooLong(_))));
    assert!(matches!(
        Message::decode(&vec![0; frame::MAX_LEN + 1]),
        Err(Error::TooLong(_))
    ));
}

#[test]
fn names_are_text() {
    assert_eq!(Message::decode(b"\x03\x01\xff\x00\x00"), Err(Error::Name(2)));
    let binary = Message::new().octets("k", *b"\xff\x00");
    let decoded = Message::decode(&binary.encode().unwrap()).unwrap();
    assert_eq!(decoded.get_octets("k"), Some(b"\xff\x00".as_slice()));
    assert_eq!(decoded.get_str("k"), None);
}

fn element() -> impl Strategy<Value = Element> {
    let name = "[ -~]{0,12}";
    let octets = || vec(any::<u8>(), 0..40);
    let leaf = prop_oneof![
        (name, octets()).prop_map(|(name, value)| Element::Value(name, value)),
        (name, vec(octets(), 0..4)).prop_map(|(name, items)| Element::List(name, items)),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        (name, vec(inner, 0..6)).prop_map(|(name, elements)| Element::Section(name, elements))
    })
}

proptest! {
    #[test]
    fn a_message_survives_the_round_trip(elements in vec(element(), 0..8)) {
        let message = Message { elements };
        let octets = message.encode().unwrap();
        prop_assert_eq!(Message::decode(&octets).unwrap(), message);
    }

    #[test]
    fn a_torn_message_is_refused_or_ends_between_elements(elements in vec(element(), 1..5), cut in any::<prop::sample::Index>()) {
        let octets = Message { elements: elements.clone() }.encode().unwrap();
        let cut = cut.index(octets.len());
        if let Ok(torn) = Message::decode(&octets[..cut]) {
            prop_assert_eq!(&torn.elements[..], &elements[..torn.elements.len()]);
            prop_assert_eq!(torn.encode().unwrap().len(), cut);
        }
    }

    #[test]
    fn whatever_is_accepted_encodes_to_the_same_octets(octets in vec(prop_oneof![0u8..8, any::<u8>()], 0..200)) {
        if let Ok(message) = Message::decode(&octets) {
            prop_assert_eq!(message.encode().unwrap(), octets);
        }
    }
}
