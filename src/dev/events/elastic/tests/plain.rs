//! The same queries as a plain filter in memory, against what SQL says.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::World;
use crate::dev::events::elastic::query::{Bool, Bound, Field, Query, Side, Test, Wanted};
use crate::dev::events::elastic::read;
use crate::dev::events::leaf::{self, Leaf};

fn fits(query: &Query, id: &str, leaves: &[Leaf]) -> bool {
    match query {
        Query::All => true,
        Query::None => false,
        Query::Ids(ids) => ids.iter().any(|wanted| wanted == id),
        Query::Index(pattern) => glob(pattern.as_bytes(), b"p"),
        Query::Field(field, test) => leaves
            .iter()
            .filter(|leaf| field.path.as_ref().is_none_or(|path| *path == leaf.path))
            .any(|leaf| passes(leaf, field, test)),
        Query::Bool(bool) => {
            let Bool { must, should, must_not, least } = &**bool;
            let of = |query: &&Query| fits(query, id, leaves);
            must.iter().all(|query| of(&query))
                && !must_not.iter().any(|query| of(&query))
                && should.iter().filter(of).count() >= *least
        }
    }
}

fn equals(leaf: &Leaf, wanted: &Wanted) -> bool {
    let number = |wanted: &Wanted| Some(wanted.number?.real() == leaf.number?.real());
    leaf.text.as_ref() == Some(&wanted.text) || number(wanted).unwrap_or(false)
}

fn has(leaf: &Leaf, piece: &str) -> bool {
    leaf.words.as_ref().is_some_and(|words| words.contains(piece))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(' ')
}

fn passes(leaf: &Leaf, field: &Field, test: &Test) -> bool {
    let may_be_part = |text: &str| !field.is_whole && is_word(text);
    match test {
        Test::Exists => true,
        Test::Equals(all) => all.iter().any(|wanted| {
            equals(leaf, wanted)
                || (may_be_part(&wanted.text) && has(leaf, &format!(" {} ", wanted.text)))
        }),
        Test::Prefix(text) => {
            leaf.text.as_ref().is_some_and(|whole| whole.starts_with(text.as_str()))
                || (may_be_part(text) && has(leaf, &format!(" {text}")))
        }
        Test::Pattern(pattern) => {
            leaf.text.as_ref().is_some_and(|whole| glob(pattern.as_bytes(), whole.as_bytes()))
        }
        Test::Range(bounds) => bounds.iter().all(|bound| within(leaf, bound)),
        Test::Phrase { words, is_begun, wanted } => {
            let end = if *is_begun { "" } else { " " };
            (leaf.words.is_none() && equals(leaf, wanted))
                || (!words.is_empty() && has(leaf, &format!(" {}{end}", words.join(" "))))
        }
    }
}

fn within(leaf: &Leaf, bound: &Bound) -> bool {
    let ordering = match leaf.number {
        Some(number) => bound.number.map(|end| number.real().total_cmp(&end.real())),
        None => leaf.text.as_ref().zip(bound.text.as_ref()).map(|(text, end)| text.cmp(end)),
    };
    ordering.is_some_and(|ordering| match bound.side {
        Side::Above => ordering.is_gt(),
        Side::From => ordering.is_ge(),
        Side::Below => ordering.is_lt(),
        Side::To => ordering.is_le(),
    })
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        ([b'?', rest @ ..], [_, after @ ..]) => glob(rest, after),
        ([b'\\', letter, rest @ ..], [first, after @ ..]) => letter == first && glob(rest, after),
        ([letter, rest @ ..], [first, after @ ..]) => letter == first && glob(rest, after),
        _ => false,
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            "a",
            "b",
            "a b",
            "B a",
            "a/b",
            "",
            "x*y",
            "[a]",
            "10",
            "1.5",
            "2026-11-21",
            "true",
            "ab'b a,b"
        ])
        .prop_map(Value::from),
        (-3_i64..12).prop_map(Value::from),
        prop::sample::select(vec![0.5, 1.5, -2.0]).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        4 => scalar(),
        1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::from),
        1 => scalar().prop_map(|inner| json!({"x": inner, "y": [{"z": 1}, null]})),
    ];
    prop::collection::btree_map(prop::sample::select(vec!["f", "g", "f.x", "h"]), value, 0..4)
        .prop_map(|fields| {
            fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()
        })
}

fn field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["f", "g", "f.x", "f.keyword", "g.keyword", "f.y.z", "h", "none"])
}

fn leaf_query() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec![
        "a", "b", "a b", "A", "10", "1.5", "", "x*y", "2026", "[a", "ab'b", "a,b",
    ]);
    prop_oneof![
        Just(json!({"match_all": {}})),
        Just(json!({"ids": {"values": ["0", "2"]}})),
        field().prop_map(|field| json!({"exists": {"field": field}})),
        (field(), scalar()).prop_map(|(field, value)| json!({"term": {field: value}})),
        (field(), prop::collection::vec(scalar(), 0..4))
            .prop_map(|(field, values)| json!({"terms": {field: values}})),
        (field(), scalar()).prop_map(|(field, value)| json!({"match": {field: value}})),
        (field(), text.clone(), any::<bool>()).prop_map(|(field, text, and)| {
            json!({"match": {field: {"query": text, "operator": if and { "and" } else { "or" }}}})
        }),
        (field(), text.clone()).prop_map(|(field, text)| json!({"match_phrase": {field: text}})),
        (field(), text.clone())
            .prop_map(|(field, text)| json!({"match_phrase_prefix": {field: text}})),
        (field(), text.clone()).prop_map(|(field, text)| json!({"prefix": {field: text}})),
        (field(), "[ab*?\\\\/]{0,4}").prop_map(|(field, text)| json!({"wildcard": {field: text}})),
        (
            field(),
            scalar().prop_filter("a flag is no bound", |value| !value.is_boolean()),
            prop::sample::select(vec!["gt", "gte", "lt", "lte"])
        )
            .prop_map(|(field, value, side)| json!({"range": {field: {side: value}}})),
        prop::sample::select(vec![
            "a OR b",
            "f:a AND -g:b",
            "a*",
            "f:[1 TO 9]",
            "f:(a b) h:>0",
            "\"a b\"",
            "_exists_:f.x"
        ])
        .prop_map(|text| json!({"query_string": {"query": text}})),
    ]
}

fn any_query() -> impl Strategy<Value = Value> {
    leaf_query().prop_recursive(3, 20, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..3);
        (some(), some(), some(), some(), prop::option::of(0..3_usize)).prop_map(
            |(must, should, must_not, filter, least)| {
                let mut bool =
                    json!({"must": must, "should": should, "must_not": must_not, "filter": filter});
                if let Some(least) = least {
                    bool["minimum_should_match"] = least.into();
                }
                json!({"bool": bool})
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sql_finds_what_a_plain_filter_finds(
        documents in prop::collection::vec(document(), 1..12),
        queries in prop::collection::vec(any_query(), 1..30),
    ) {
        let world = World::new();
        let mut body = String::new();
        for (id, document) in documents.iter().enumerate() {
            body += &format!("{{\"index\":{{\"_index\":\"p\",\"_id\":\"{id}\"}}}}\n{document}\n");
        }
        world.ask("POST", "/_bulk", &body);
        let leaves: Vec<_> = documents.iter().map(|document| leaf::leaves(document.as_object().unwrap()).unwrap()).collect();
        for value in queries {
            let query = read::query(&value, super::NOW_MS).unwrap();
            let wanted: Vec<String> = leaves.iter().enumerate().map(|(id, leaves)| (id.to_string(), leaves))
                .filter(|(id, leaves)| fits(&query, id, leaves)).map(|(id, _)| id).collect();
            prop_assert_eq!(world.ids("p", value.clone()), wanted, "{}", value);
        }
    }
}
