//! A blob in pieces, where a registry does not take it in one.

use super::*;

/// A registry that answers every blob in one piece with this status.
fn refusing_whole(
    status: u16,
    more: impl Fn(&Asked, &mut Kept) -> Option<Reply> + Send + Sync + 'static,
) -> Fake {
    Fake::with(move |asked, kept| {
        let whole = is_blob_put(asked) && !asked.body.is_empty();
        if whole { Some(Reply::status(status)) } else { more(asked, kept) }
    })
}

fn pieces(fake: &Fake) -> Vec<String> {
    let asked = fake.server.asked().into_iter().filter(|asked| asked.method == "PATCH");
    asked.map(|asked| asked.headers["content-range"].clone()).collect()
}

fn one_layer() -> Packed {
    let bytes: Vec<u8> =
        (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    packed_of(&[("system", &bytes)])
}

#[test]
fn a_registry_that_takes_pieces_alone_gets_pieces() {
    for status in [405, 411, 413] {
        let fake = refusing_whole(status, |_, _| None);
        let packed = one_layer();
        let config = packed.contents.config.bytes;
        Person::anonymous().push(&fake, &packed).unwrap();
        assert_eq!(pieces(&fake), ["0-299999".to_owned(), format!("0-{}", config - 1)], "{status}");
        assert_eq!(fake.tags().len(), 1);
    }
}

#[test]
fn a_piece_that_is_too_large_is_halved_and_the_least_is_honoured() {
    let too_large = |asked: &Asked| asked.method == "PATCH" && asked.body.len() > 100_000;
    let fake = refusing_whole(413, move |asked, _| too_large(asked).then(|| Reply::status(413)));
    Person::anonymous().push(&fake, &one_layer()).unwrap();
    let expected =
        ["0-299999", "0-149999", "0-74999", "75000-149999", "150000-224999", "225000-299999"];
    assert_eq!(pieces(&fake)[..6], expected);
    let fake = refusing_whole(413, move |asked, _| match asked.method.as_str() {
        "POST" => Some(
            Reply::status(202)
                .header("Location", "/v2/team/app/blobs/uploads/1?state=a%3D")
                .header("OCI-Chunk-Min-Length", "200000"),
        ),
        _ => too_large(asked).then(|| Reply::status(413)),
    });
    let error = fails(&fake, &one_layer());
    assert!(matches!(error, PushError::TooLarge { bytes: 300_000, .. }), "{error}");
    assert_eq!(pieces(&fake), ["0-299999"]);
}

#[test]
fn a_piece_that_breaks_off_is_taken_up_where_the_registry_stands() {
    for kept_bytes in [0, 120_000] {
        let calls = AtomicUsize::new(0);
        let fake = refusing_whole(405, move |asked, kept| {
            let first = asked.method == "PATCH" && calls.fetch_add(1, Ordering::SeqCst) == 0;
            first.then(|| {
                kept.pieces.extend(&asked.body[..kept_bytes]);
                Reply::status(500)
            })
        });
        Person::anonymous().push(&fake, &one_layer()).unwrap();
        assert_eq!(pieces(&fake)[..2], ["0-299999".to_owned(), format!("{kept_bytes}-299999")]);
        assert_eq!(fake.tags().len(), 1);
    }
}

#[test]
fn a_registry_that_fails_at_each_piece_is_named_in_the_end() {
    let fake =
        refusing_whole(405, |asked, _| (asked.method == "PATCH").then(|| Reply::status(500)));
    let error = fails(&fake, &one_layer());
    assert!(matches!(error, PushError::Failing { status: 500, .. }), "{error}");
    assert!(pieces(&fake).len() < 100);
}
