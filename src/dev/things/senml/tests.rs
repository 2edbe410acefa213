use proptest::prelude::*;
use serde_json::json;

use super::*;

fn from_json(pack: &Json) -> Option<Vec<Record>> {
    normalise(pack.to_string().as_bytes(), Format::Json, 1_000)
}

fn number(name: &str, unit: &str, value: f64, time: f64) -> Record {
    Record {
        name: name.into(),
        unit: unit.into(),
        measured: Measured::Number(value),
        sum: None,
        time,
        update_time: 0.0,
        link: String::new(),
    }
}

#[test]
fn base_fields_count_for_all_records_that_follow() {
    let pack = json!([
        {"bn": "some-base-name:", "bt": 1.276_020_076_001e9, "bu": "A", "bver": 5, "n": "voltage", "u": "V", "v": 120.1},
        {"n": "current", "t": -5, "v": 1.2},
        {"n": "current", "t": -4, "v": 1.3},
    ]);
    let wanted = [
        number("some-base-name:voltage", "V", 120.1, 1_276_020_076.001),
        number("some-base-name:current", "A", 1.2, 1_276_020_071.001),
        number("some-base-name:current", "A", 1.3, 1_276_020_072.001),
    ];
    assert_eq!(from_json(&pack).unwrap(), wanted);
}

#[test]
fn one_record_without_a_value_refuses_the_whole_pack() {
    let good = json!({"n": "a", "v": 1});
    assert_eq!(from_json(&json!([good])).unwrap().len(), 1);
    let bad = [
        json!({"n": "b"}),
        json!({"v": 1}),
        json!({"n": "b", "v": 1, "vs": "x"}),
        json!({"n": "-b", "v": 1}),
        json!({"n": "ü", "v": 1}),
        json!({"n": "b", "v": "1"}),
        json!({"n": 1, "v": 1}),
        json!({"n": "b", "vb": 0}),
        json!(7),
    ];
    for record in bad {
        assert_eq!(from_json(&json!([good, record])), None, "{record}");
    }
    assert_eq!(
        from_json(&json!([{"n": "a", "v": 1, "bver": 5}, {"n": "a", "v": 1, "bver": 6}])),
        None
    );
    for text in ["", "{}", "7", "[", "[1e999]", r#"[{"n":"a","v":1e999}]"#] {
        assert_eq!(normalise(text.as_bytes(), Format::Json, 0), None, "{text}");
    }
}

#[test]
fn what_has_only_a_sum_is_valid_and_yields_nothing() {
    let found = from_json(&json!([{"n": "a", "s": 4}, {"n": "b", "vb": false, "s": 5}])).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].measured, found[0].sum), (&Measured::Flag(false), Some(5.0)));
    assert_eq!(from_json(&json!([])), Some(Vec::new()));
}

#[test]
fn a_time_that_is_not_after_1970_counts_from_now() {
    let times = |time: f64| from_json(&json!([{"n": "a", "t": time, "v": 1}])).unwrap()[0].time;
    assert_eq!([times(0.0), times(-5.0), times(7.0)], [1_000.0, 995.0, 7.0]);
}

#[test]
fn cbor_may_have_the_numbers_of_the_standard() {
    // [{-2: "d:", -3: 10, 0: "t", 1: "Cel", 2: 21.5}, {0: "k", 8: h'01ff'}]
    let pack = b"\x82\xa5\x21\x62d:\x22\x0a\x00\x61t\x01\x63Cel\x02\xfb\x40\x35\x80\0\0\0\0\0\xa2\x00\x61k\x08\x42\x01\xff";
    let found = normalise(pack, Format::Cbor, 0).unwrap();
    assert_eq!(found[0], number("d:t", "Cel", 21.5, 10.0));
    assert_eq!(found[1].measured, Measured::Data("Af8".into()));
}

#[test]
fn a_pack_that_would_grow_without_end_is_refused() {
    let base = "a".repeat(500_000);
    let mut records = vec![json!({"bn": base, "v": 1})];
    records.extend((0..20).map(|_| json!({"v": 1})));
    assert_eq!(from_json(&Json::from(records)), None);
    assert_eq!(normalise(&[b'['; 100_000], Format::Json, 0), None);
    assert_eq!(normalise(&[0x81; 100_000], Format::Cbor, 0), None);
    assert_eq!(normalise(b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", Format::Cbor, 0), None);
    let many = Json::from(vec![json!({"n": "a", "v": 1}); SENML_RECORDS_MAX + 1]);
    assert_eq!(from_json(&many), None);
}

fn record() -> impl Strategy<Value = Json> {
    let name = "[a-zA-Z0-9][a-z0-9:._/-]{0,6}";
    let time = prop_oneof![
        (-10i32..2_000_000_000).prop_map(|t| json!(t)),
        (0.0..2e9).prop_map(|t| json!(t))
    ];
    let value = prop_oneof![
        any::<i32>().prop_map(|v| ("v", json!(v))),
        (-1e9..1e9).prop_map(|v: f64| ("v", json!(v))),
        ".{0,5}".prop_map(|v| ("vs", json!(v))),
        any::<bool>().prop_map(|v| ("vb", json!(v))),
        "[A-Za-z0-9_-]{0,8}".prop_map(|v| ("vd", json!(v))),
        any::<i16>().prop_map(|v| ("s", json!(v))),
    ];
    let base = prop_oneof![
        Just(None),
        "[a-z]{1,3}:".prop_map(|v| Some(("bn", json!(v)))),
        (1..1_000_000).prop_map(|v| Some(("bt", json!(v)))),
        "[A-Z]{1,2}".prop_map(|v| Some(("bu", json!(v)))),
    ];
    (name, time, value, base).prop_map(|(name, time, (kind, value), base)| {
        let mut record = json!({"n": name, "t": time});
        record[kind] = value;
        if let Some((name, value)) = base {
            record[name] = value;
        }
        record
    })
}

proptest! {
    #[test]
    fn a_pack_says_the_same_as_json_and_as_cbor(
        pack in prop::collection::vec(record(), 0..8), with_numbers in any::<bool>()
    ) {
        let labels = [
            ("bver", -1), ("bn", -2), ("bt", -3), ("bu", -4), ("n", 0), ("u", 1), ("v", 2), ("vs", 3),
            ("vb", 4), ("s", 5), ("t", 6), ("ut", 7), ("vd", 8),
        ];
        let label = |name: &str| {
            let number = labels.iter().find(|(label, _)| *label == name).unwrap().1;
            if with_numbers { Cbor::Integer(number.into()) } else { Cbor::Text(name.into()) }
        };
        let map = |record: &Json| {
            let fields = record.as_object().unwrap().iter();
            Cbor::Map(fields.map(|(name, value)| (label(name), Cbor::serialized(value).unwrap())).collect())
        };
        let mut bytes = Vec::new();
        ciborium::into_writer(&Cbor::Array(pack.iter().map(map).collect()), &mut bytes).unwrap();
        let one = from_json(&Json::from(pack));
        prop_assert_eq!(one, normalise(&bytes, Format::Cbor, 1_000));
    }

    #[test]
    fn no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [Format::Json, Format::Cbor] {
            for record in normalise(&bytes, format, 0).unwrap_or_default() {
                prop_assert!(!record.name.is_empty() && record.time.is_finite());
            }
        }
    }
}
