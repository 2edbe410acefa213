use proptest::prelude::*;

use super::{Term, TermProblem, get, is_set, parse_all, print};
use crate::explain::Explain as _;

fn read(text: &str) -> Term {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    parse_all(text).expect_err(text).to_string()
}

fn list(items: &[&str]) -> Term {
    Term::List(items.iter().map(|item| read(item)).collect())
}

#[test]
fn a_rebar_config_is_read_term_by_term() {
    let text = r#"%% -*- erlang -*-
{erl_opts, [debug_info, {i, "include"}]}. % behind
{deps, [
    {cowboy, {git, "https://host/cowboy.git", {tag, "2.12.0"}}},
    jsx
]}.
"#;
    let terms = parse_all(text).unwrap();
    assert_eq!(terms.len(), 2);
    let deps = get(&terms, "deps").unwrap().as_list().unwrap();
    assert_eq!(deps[1], Term::atom("jsx"));
    assert_eq!(deps[0].to_string(), r#"{cowboy,{git,"https://host/cowboy.git",{tag,"2.12.0"}}}"#);
    assert_eq!(
        deps[0].tagged("cowboy").unwrap()[0].tagged("git").unwrap()[0].as_text(),
        Some("https://host/cowboy.git".to_owned())
    );
}

#[test]
fn strings_join_and_know_all_escapes() {
    assert_eq!(
        read(
            r#""a" "b" % c
        "c""#
        ),
        Term::string("abc")
    );
    assert_eq!(
        read(r#""\n\r\t\v\b\f\e\s\d\0\12\101\x41\x{1F600}\^a\"\'\\\q""#),
        Term::string("\n\r\t\u{b}\u{8}\u{c}\u{1b} \u{7f}\0\nA\u{41}\u{1f600}\u{1}\"'\\q")
    );
    assert_eq!(read("\"é\nü\""), Term::string("é\nü"));
    assert_eq!(read(r#""""#).as_list(), Some(&[][..]));
    assert_eq!(read("[]").as_text(), Some(String::new()));
    assert_eq!(read("[104,105]").as_text(), Some("hi".to_owned()));
}

#[test]
fn binaries_hold_strings_bytes_and_utf8() {
    assert_eq!(read("<<>>"), Term::binary([]));
    assert_eq!(read(r#"<<"ab", 1, $c>>"#), Term::binary(*b"ab\x01c"));
    assert_eq!(read(r#"<<"é"/utf8>>"#), Term::binary("é"));
    assert_eq!(read(r#"<<"é">>"#), Term::binary([0xe9]));
    assert_eq!(read("<<128/utf8>>"), Term::binary("\u{80}"));
    assert_eq!(read("<<1,2,255>>").to_string(), "<<1,2,255>>");
    assert_eq!(read(r#"<<"é"/utf8>>"#).to_string(), r#"<<"é"/utf8>>"#);
}

#[test]
fn numbers_have_bases_underscores_signs_and_characters() {
    for (text, value) in [
        ("16#fF", 255),
        ("2#1010", 10),
        ("36#Zz", 35 * 36 + 35),
        ("1_000_000", 1_000_000),
        ("-5", -5),
        ("+5", 5),
        ("- 5", -5),
        ("$a", 97),
        ("$\\n", 10),
        ("$ ", 32),
        ("-$a", -97),
        ("-170141183460469231731687303715884105728", i128::MIN),
    ] {
        assert_eq!(read(text), Term::Integer(value), "{text}");
    }
    for (text, printed) in [
        ("1.50", "1.5"),
        ("-0.0", "-0.0"),
        ("1.0e300", "1.0e300"),
        ("1.0E+3", "1000.0"),
        ("2.5e-9", "2.5e-9"),
        ("1_0.5", "10.5"),
    ] {
        assert_eq!(read(text), Term::Float(printed.to_owned()), "{text}");
    }
}

#[test]
fn maps_are_sorted_and_the_last_of_two_keys_counts() {
    let map = read("#{b => 1, a => [x], b => 2}");
    assert_eq!(map.to_string(), "#{a => [x],b => 2}");
    assert_eq!(map.as_map().unwrap().len(), 2);
    assert_eq!(read("#{ }"), Term::Map(vec![]));
}

#[test]
fn atoms_are_quoted_where_they_must_be() {
    assert_eq!(read("'hello world'").to_string(), "'hello world'");
    assert_eq!(read("'end'").to_string(), "'end'");
    assert_eq!(read("maybe").to_string(), "'maybe'");
    assert_eq!(read("'it\\'s'").to_string(), "'it\\'s'");
    assert_eq!(read("a@b_C1").to_string(), "a@b_C1");
    assert_eq!(read("été"), Term::atom("été"));
}

#[test]
fn property_lists_answer_by_key() {
    let terms = [read("{a, 1}"), read("{a, 2}"), read("b"), read("{c, false}")];
    assert_eq!(get(&terms, "a"), Some(&Term::Integer(1)));
    assert_eq!(get(&terms, "b"), None);
    assert!(is_set(&terms, "b"));
    assert!(!is_set(&terms, "c"));
    assert!(!is_set(&terms, "d"));
    assert_eq!(list(&["a", "1"]).as_list().unwrap().len(), 2);
}

const REFUSED: &[(&str, &str)] = &[
    ("{deps, [a b]}.", "line 1, column 11: expected `,` or `]`, found `b`"),
    (
        "{deps, []}\n{x, y}.",
        "line 2, column 1: expected `.` and white space behind the term, found `{`",
    ),
    (
        "{deps, []}",
        "line 1, column 11: expected `.` and white space behind the term, found the end of the text",
    ),
    ("{a,}.", "line 1, column 4: expected a term, found `}`"),
    ("{a", "line 1, column 3: expected `,` or `}`, found the end of the text"),
    ("[", "line 1, column 2: expected a term or `]`, found the end of the text"),
    ("a.b.", "line 1, column 2: expected `.` and white space behind the term, found `.`"),
    ("ok.\n \"é\" \"open.\n", "line 2, column 6: the string that begins here has no end"),
    ("'x", "line 1, column 1: the quoted atom that begins here has no end"),
    ("$", "line 1, column 1: the character that begins here has no end"),
    (r#""\x{D800}"."#, r"line 1, column 2: `\x{D800}` is no character"),
    (r#""\xg0"."#, r"line 1, column 2: `\xg` is no character"),
    ("37#1.", "line 1, column 1: `37#` is not a number that rebeam can hold"),
    ("16#.", "line 1, column 1: `16#` is not a number that rebeam can hold"),
    ("1.0e999.", "line 1, column 1: `1.0e999` is not a number that rebeam can hold"),
    ("-a.", "line 1, column 2: expected a number behind the sign, found `a`"),
    ("<<256>>.", "line 1, column 3: a binary may hold strings and bytes, and `256` is no byte"),
    ("<<\"€\">>.", "line 1, column 3: a binary may hold strings and bytes, and `\"€\"` is no byte"),
    (
        "<<1:16>>.",
        "line 1, column 4: expected `,` or `>>` (sizes and types other than `/utf8` are not read), found `:`",
    ),
    (
        "{end, 1}.",
        "line 1, column 2: `end` is a reserved word and no atom unless it is quoted: `'end'`",
    ),
    ("{x, Var}.", "line 1, column 5: `Var` is a variable; only constant terms are read here"),
    ("{x, fun() -> ok end}.", "line 1, column 5: a fun cannot be read; only constant terms can"),
    ("<0.81.0>.", "line 1, column 1: a process cannot be read; only constant terms can"),
    (
        "#Ref<0.1.2.3>.",
        "line 1, column 1: a reference, port or fun cannot be read; only constant terms can",
    ),
    ("#rec{}.", "line 1, column 1: a record cannot be read; only constant terms can"),
    ("#{a := 1}.", "line 1, column 5: expected `=>` behind a map's key, found `:`"),
    ("[a|b].", "line 1, column 3: `|` makes an improper list, which is not read here"),
    (
        "\"\"\"\ntext\n\"\"\".",
        "line 1, column 1: expected a string in one pair of quotes, not in three, found `\"`",
    ),
    ("\u{7f}.", "line 1, column 1: expected a term, found the character U+007F"),
];

#[test]
fn errors_name_line_column_and_what_was_expected() {
    for &(text, message) in REFUSED {
        assert_eq!(refused(text), message, "{text}");
    }
    let long = format!("{}.", "a".repeat(256));
    assert_eq!(
        refused(&long),
        "line 1, column 1: an atom has at most 255 characters, and this one 256"
    );
}

#[test]
fn merge_markers_are_named_as_such() {
    for (text, line, marker) in [
        ("<<<<<<< HEAD\n{a, 1}.\n=======\n{a, 2}.\n>>>>>>> x\n", 1, "<<<<<<<"),
        ("[a,\n=======\nb].", 2, "======="),
        ("[a\n>>>>>>> theirs\n].", 2, ">>>>>>>"),
        ("a.\n||||||| base\n", 2, "|||||||"),
        ("{\"a\"\n<<<<<<< HEAD\n}.", 2, "<<<<<<<"),
    ] {
        let error = parse_all(text).unwrap_err();
        assert_eq!(error.problem, TermProblem::MergeMarker { marker });
        assert_eq!((error.line, error.column), (line, 1));
        assert!(error.hint().unwrap().contains("git diff"));
    }
    assert_eq!(
        refused("<<<<<<< HEAD\n"),
        "line 1, column 1: a merge conflict is unresolved: this line begins with `<<<<<<<`"
    );
    assert!(parse_all("{a, \"\n=======\n\"}.").is_ok(), "inside a string");
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |depth: usize| format!("{}{}.", "[".repeat(depth), "]".repeat(depth));
    assert!(parse_all(&nested(crate::limits::TERM_DEPTH_MAX)).is_ok());
    let error = parse_all(&nested(crate::limits::TERM_DEPTH_MAX + 1)).unwrap_err();
    assert_eq!(error.problem.to_string(), "terms are nested more than 128 deep");
    assert!(parse_all(&"[".repeat(1_000_000)).is_err());
}

fn any_term() -> impl Strategy<Value = Term> {
    let leaf = prop_oneof![
        any::<String>().prop_map(|name| Term::Atom(name.chars().take(255).collect())),
        "[a-z]{1,8}".prop_map(Term::Atom),
        any::<i128>().prop_map(Term::Integer),
        any::<f64>()
            .prop_filter("Erlang has no infinities", |value| value.is_finite())
            .prop_map(|value| Term::Float(print::float(value))),
        any::<String>().prop_map(Term::String),
        any::<String>().prop_map(Term::binary),
        any::<Vec<u8>>().prop_map(Term::Binary),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let pairs = proptest::collection::btree_map(inner.clone(), inner.clone(), 0..5);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Term::Tuple),
            proptest::collection::vec(inner, 0..6).prop_map(Term::List),
            pairs.prop_map(|pairs| Term::Map(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_itself(term in any_term()) {
        let text = term.to_string();
        prop_assert_eq!(text.parse::<Term>(), Ok(term.clone()), "{}", text);
        let text = format!("{term}.\n% end");
        prop_assert_eq!(parse_all(&text), Ok(vec![term]));
    }

    #[test]
    fn no_text_makes_the_parser_panic(bytes in any::<Vec<u8>>()) {
        let _ = parse_all(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_soup_of_tokens_makes_the_parser_panic(text in r#"([\[\]{}<>"'#$%\\x^|.,=/:_eé +\-]|[a-f0-9]|16#|=>|<<|>>|\n|/utf8){0,40}"#) {
        if let Ok(terms) = parse_all(&text) {
            let printed: String = terms.iter().map(|term| format!("{term}.\n")).collect();
            prop_assert_eq!(parse_all(&printed), Ok(terms));
        }
    }
}
