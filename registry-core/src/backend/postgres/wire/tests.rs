//! A client and a server of hand-made messages, at the two ends of a [`Wire`].

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::{Refusal, Wire};
use crate::backend::error_class::ErrorClass;
use crate::backend::observed::{Observed, TransactionStatus};

const STARTUP: &[u8] = &[0, 0, 0, 9, 0, 3, 0, 0, 0];

fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), &body].concat()
}

fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[&[status]])
}

fn prepare(name: &[u8], query: &[u8]) -> Vec<u8> {
    [
        message(b'P', &[name, b"\0", query, b"\0\0\0"]),
        message(b'D', &[b"S", name, b"\0"]),
        message(b'S', &[]),
    ]
    .concat()
}

fn execute(name: &[u8]) -> Vec<u8> {
    [
        message(b'B', &[b"\0", name, b"\0", b"values"]),
        message(b'E', &[b"\0\0\0\0\0"]),
        message(b'S', &[]),
    ]
    .concat()
}

fn error(fields: &[(u8, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in fields {
        body.push(*kind);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    message(b'E', &[&body])
}

/// Both ends, after the start-up.
async fn connected(refusal: Option<Refusal>) -> (Wire<DuplexStream>, DuplexStream, Arc<Observed>) {
    let (client, mut server) = duplex(1 << 20);
    let observed = Arc::new(Observed::of_stream());
    let mut client = Wire::new(client, Arc::clone(&observed), refusal);
    client.write_all(STARTUP).await.unwrap();
    client.flush().await.unwrap();
    expect(&mut server, STARTUP).await;
    server.write_all(&ready(b'I')).await.unwrap();
    expect(&mut client, &ready(b'I')).await;
    (client, server, observed)
}

async fn send(client: &mut Wire<DuplexStream>, bytes: &[u8]) {
    client.write_all(bytes).await.unwrap();
    client.flush().await.unwrap();
}

/// What comes next, in text that a person can compare.
async fn expect(stream: &mut (impl AsyncReadExt + Unpin), expected: &[u8]) {
    let mut seen = vec![0; expected.len()];
    stream.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[tokio::test]
async fn the_server_tells_whether_a_transaction_is_open() {
    let (mut client, mut server, observed) = connected(None).await;
    assert_eq!(observed.transaction.status(), TransactionStatus::Idle);
    for (status, expected) in [
        (b'T', TransactionStatus::Open),
        (b'E', TransactionStatus::Open),
        (b'I', TransactionStatus::Idle),
    ] {
        send(&mut client, &message(b'Q', &[b"SELECT 1\0"])).await;
        assert!(observed.stream.is_in_flight());
        server.write_all(&ready(status)).await.unwrap();
        expect(&mut client, &ready(status)).await;
        assert!(!observed.stream.is_in_flight());
        assert_eq!(observed.transaction.status(), expected);
    }
}

#[tokio::test]
async fn a_statement_that_is_only_closed_is_not_waited_for() {
    let (mut client, _server, observed) = connected(None).await;
    let close = [message(b'C', &[b"Ss1\0"]), message(b'S', &[])].concat();
    send(&mut client, &close).await;
    assert!(!observed.stream.is_in_flight());
    send(&mut client, &execute(b"s2")).await;
    assert!(observed.stream.is_in_flight());
}

#[tokio::test]
async fn what_was_written_counts_as_sent_even_if_the_server_is_gone() {
    let (mut client, server, observed) = connected(None).await;
    assert!(!observed.has_sent_nothing(), "the start-up was sent");
    observed.stream.note_nothing_sent();
    assert!(observed.has_sent_nothing());
    drop(server);
    assert!(client.read_u8().await.is_err(), "the end of the stream");
    assert!(observed.has_sent_nothing(), "reading sends nothing");
    client.write_all(&message(b'Q', &[b"SELECT 1\0"])).await.unwrap_err();
    assert!(!observed.has_sent_nothing(), "it is not known how much was sent");
}

#[test]
fn nothing_is_known_of_a_stream_that_is_not_read() {
    let observed = Observed::default();
    observed.stream.note_nothing_sent();
    assert!(!observed.has_sent_nothing());
}

#[tokio::test]
async fn prepared_statements_are_counted_as_the_server_has_them() {
    let (mut client, mut server, observed) = connected(None).await;
    let mut answer = async |client: &mut Wire<DuplexStream>, answer: Vec<u8>| {
        server.write_all(&answer).await.unwrap();
        expect(client, &answer).await;
    };
    for (name, failure, count) in
        [(&b"s1"[..], None, 1), (b"s2", None, 2), (b"", None, 2), (b"s3", Some("42601"), 2)]
    {
        send(&mut client, &prepare(name, b"SELECT 1")).await;
        let failure = failure.map(|code| error(&[(b'C', code)])).unwrap_or_default();
        answer(&mut client, [failure, ready(b'I')].concat()).await;
        assert_eq!(observed.session.prepared_count(), count);
    }
    send(&mut client, &[message(b'C', &[b"Ss1\0"]), message(b'S', &[])].concat()).await;
    answer(&mut client, ready(b'I')).await;
    assert_eq!(observed.session.prepared_count(), 1);
}

#[tokio::test]
async fn errors_are_told_apart_by_their_codes() {
    let (mut client, mut server, observed) = connected(None).await;
    for (fields, class) in [
        (
            &[(b'V', "ERROR"), (b'C', "22012"), (b'M', "division by zero")][..],
            ErrorClass::Permanent,
        ),
        (
            &[(b'C', "0A000"), (b'M', "gecachter Plan .."), (b'R', "RevalidateCachedQuery")],
            ErrorClass::StalePlan,
        ),
        (&[(b'C', "0A000"), (b'M', "not so"), (b'R', "other")], ErrorClass::Permanent),
        (&[(b'C', "26000"), (b'M', "no such statement")], ErrorClass::StatementGone),
        (&[(b'C', "XX000"), (b'M', "cache lookup failed for type 7")], ErrorClass::StaleType),
        (&[(b'C', "25006"), (b'M', "no writes")], ErrorClass::ReadOnly),
        (&[(b'C', "40P01"), (b'M', "deadlock")], ErrorClass::Transient),
        (&[(b'C', "55P03"), (b'M', "locked")], ErrorClass::Transient),
        (&[(b'V', "FATAL"), (b'C', "57P01"), (b'M', "so long")], ErrorClass::Fatal),
    ] {
        let error = error(fields);
        server.write_all(&error).await.unwrap();
        expect(&mut client, &error).await;
        let text = fields.iter().find(|(kind, _)| *kind == b'M').map_or("", |(_, text)| *text);
        let kind = diesel::result::DatabaseErrorKind::Unknown;
        let returned = diesel::result::Error::DatabaseError(kind, Box::new(text.to_owned()));
        assert_eq!(observed.errors.class_of(&returned), Some(class), "{fields:?}");
    }
    assert_eq!(observed.errors.fatal_message().as_deref(), Some("so long"));
    let returned = |text: &str| {
        let kind = diesel::result::DatabaseErrorKind::Unknown;
        diesel::result::Error::DatabaseError(kind, Box::new(text.to_owned()))
    };
    // Of several errors, each has its own class, however many came after it, and an error of the client has none.
    assert_eq!(observed.errors.class_of(&returned("locked")), Some(ErrorClass::Transient));
    assert_eq!(observed.errors.class_of(&returned("no writes")), Some(ErrorClass::ReadOnly));
    assert_eq!(observed.errors.class_of(&returned("connection closed")), None);
    // The same text with another code: nobody can say which of the two it is.
    let other = error(&[(b'C', "22012"), (b'M', "locked")]);
    server.write_all(&other).await.unwrap();
    expect(&mut client, &other).await;
    assert_eq!(observed.errors.class_of(&returned("locked")), None);
}

#[tokio::test]
async fn the_role_of_the_server_is_its_own_word() {
    let (mut client, mut server, observed) = connected(None).await;
    assert_eq!(observed.role.is_read_only(), None);
    for (name, value, is_read_only) in [
        ("in_hot_standby", "off", false),
        ("default_transaction_read_only", "on", true),
        ("default_transaction_read_only", "off", false),
        ("in_hot_standby", "on", true),
    ] {
        let status = message(b'S', &[name.as_bytes(), b"\0", value.as_bytes(), b"\0"]);
        server.write_all(&status).await.unwrap();
        expect(&mut client, &status).await;
        assert_eq!(observed.role.is_read_only(), Some(is_read_only), "{name} = {value}");
    }
    assert!(!observed.session.is_changed());
    let mut reports = async |zone: &[u8], status: u8| {
        let reported = message(b'S', &[b"TimeZone\0", zone, b"\0"]);
        let all = [reported, ready(status)].concat();
        server.write_all(&all).await.unwrap();
        expect(&mut client, &all).await;
    };
    reports(b"Asia/Tokyo", b'I').await;
    assert!(observed.session.is_changed(), "whatever has done it");
    observed.session.forget_effects();
    reports(b"UTC", b'T').await;
    reports(b"Asia/Tokyo", b'I').await;
    assert!(!observed.session.is_changed(), "it was gone with the transaction");
    reports(b"UTC", b'T').await;
    reports(b"Asia/Tokyo", b'T').await;
    reports(b"UTC", b'I').await;
    assert!(observed.session.is_changed(), "it has outlived the transaction");
}

#[tokio::test]
async fn what_a_prepared_statement_leaves_behind_counts_each_time() {
    let (mut client, _server, observed) = connected(None).await;
    send(&mut client, &prepare(b"s1", b"SET search_path = other")).await;
    assert!(observed.session.is_changed());
    observed.session.forget_effects();
    send(&mut client, &prepare(b"s2", b"SELECT 1")).await;
    send(&mut client, &execute(b"s2")).await;
    assert!(!observed.session.is_changed());
    send(&mut client, &execute(b"s1")).await;
    assert!(observed.session.is_changed());
}

#[tokio::test]
async fn waiting_for_an_answer_ends_with_it_or_with_the_stream() {
    let (mut client, mut server, observed) = connected(None).await;
    send(&mut client, &execute(b"s1")).await;
    let settled = tokio::spawn({
        let observed = Arc::clone(&observed);
        async move { observed.stream.all_answered().await }
    });
    server.write_all(&ready(b'I')).await.unwrap();
    expect(&mut client, &ready(b'I')).await;
    settled.await.unwrap();
    send(&mut client, &execute(b"s1")).await;
    let settled = tokio::spawn(async move { observed.stream.all_answered().await });
    drop(client);
    settled.await.unwrap();
}

/// What a pooler sees of a named statement.
#[tokio::test]
async fn no_named_statement_reaches_a_pooler() {
    let (mut client, mut server, _) = connected(Some(Refusal::default())).await;
    send(&mut client, &prepare(b"s1", b"SELECT $1")).await;
    expect(&mut server, &prepare(b"", b"SELECT $1")).await;
    let parsed = [message(b'1', &[]), message(b't', &[b"\0\0"]), ready(b'I')].concat();
    server.write_all(&parsed).await.unwrap();
    expect(&mut client, &parsed).await;
    for _ in 0..2 {
        send(&mut client, &execute(b"s1")).await;
        let with_its_text = [message(b'P', &[b"\0SELECT $1\0\0\0"]), execute(b"")].concat();
        expect(&mut server, &with_its_text).await;
        let answer = [message(b'2', &[]), message(b'D', &[b"a row"]), ready(b'T')].concat();
        let sent = [message(b'1', &[]), answer.clone()].concat();
        // One byte at a time, so that every message is cut everywhere.
        for byte in sent {
            server.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        expect(&mut client, &answer).await;
    }
    let close = [message(b'C', &[b"Ss1\0"]), message(b'S', &[])].concat();
    send(&mut client, &close).await;
    expect(&mut server, &[message(b'C', &[b"S\0"]), message(b'S', &[])].concat()).await;
}

#[tokio::test]
async fn an_error_before_the_answer_that_was_put_in_does_not_shift_the_others() {
    let (mut client, mut server, _) = connected(Some(Refusal::default())).await;
    send(&mut client, &prepare(b"s1", b"SELECT 1")).await;
    let parsed = [message(b'1', &[]), ready(b'I')].concat();
    server.write_all(&parsed).await.unwrap();
    expect(&mut client, &parsed).await;
    // Two in a pipeline: the first fails in its `Parse`, the second does not.
    send(&mut client, &[execute(b"s1"), execute(b"s1")].concat()).await;
    let failed = [error(&[(b'C', "42P01")]), ready(b'I')].concat();
    let worked = [message(b'2', &[]), ready(b'I')].concat();
    let sent = [failed.clone(), message(b'1', &[]), worked.clone()].concat();
    server.write_all(&sent).await.unwrap();
    expect(&mut client, &[failed, worked].concat()).await;
}

#[tokio::test]
async fn a_statement_that_needs_a_session_is_answered_here_and_in_its_turn() {
    let refusal = Refusal::default();
    let (mut client, mut server, observed) = connected(Some(refusal.clone())).await;
    send(&mut client, &message(b'Q', &[b"SET TIME ZONE 'UTC'\0"])).await;
    expect(&mut server, &message(b'Q', &[b"SET TIME ZONE 'UTC'\0"])).await;
    server.write_all(&ready(b'I')).await.unwrap();
    expect(&mut client, &ready(b'I')).await;

    refusal.begin();
    let refused = [
        message(b'Q', &[b"SELECT 1\0"]),
        message(b'Q', &[b"SET search_path = other\0"]),
        prepare(b"s1", b"SET search_path = other"),
        message(b'Q', &[b"SELECT 2\0"]),
    ];
    send(&mut client, &refused.concat()).await;
    let sent = [message(b'Q', &[b"SELECT 1\0"]), message(b'Q', &[b"SELECT 2\0"])].concat();
    expect(&mut server, &sent).await;
    server.write_all(&ready(b'T')).await.unwrap();
    expect(&mut client, &ready(b'T')).await;
    for _ in 0..2 {
        let mut header = [0; 5];
        client.read_exact(&mut header).await.unwrap();
        assert_eq!(header[0], b'E');
        let mut body = vec![0; super::frames::body_length(&header)];
        client.read_exact(&mut body).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("pooler"));
        // The transaction is as it was.
        expect(&mut client, &ready(b'T')).await;
    }
    server.write_all(&ready(b'T')).await.unwrap();
    expect(&mut client, &ready(b'T')).await;
    assert!(!observed.stream.is_in_flight());
}

fn completed(tag: &[u8]) -> Vec<u8> {
    message(b'C', &[tag, b"\0"])
}

#[tokio::test]
async fn a_transaction_that_has_ended_between_two_statuses_is_noticed() {
    let (mut client, mut server, observed) = connected(None).await;
    let ends = async |client: &mut Wire<DuplexStream>,
                      server: &mut DuplexStream,
                      sent: Vec<u8>,
                      tags: &[&[u8]]| {
        let before = observed.transaction.end_counts().0;
        send(client, &sent).await;
        let mut answer: Vec<u8> = tags.iter().flat_map(|tag| completed(tag)).collect();
        answer.extend(ready(b'T'));
        // However the stream is cut.
        for byte in &answer {
            server.write_all(&[*byte]).await.unwrap();
            expect(client, &[*byte]).await;
        }
        observed.transaction.end_counts().0 - before
    };
    let query = |text: &[u8]| message(b'Q', &[text, b"\0"]);
    type Case<'a> = (&'a [u8], &'a [&'a [u8]], u32);
    let cases: [Case<'_>; 7] = [
        (b"BEGIN", &[b"BEGIN"], 0),
        (b"COMMIT; BEGIN", &[b"COMMIT", b"BEGIN"], 1),
        (b"COMMIT AND CHAIN", &[b"COMMIT"], 1),
        (b"ROLLBACK AND CHAIN", &[b"ROLLBACK"], 1),
        (b"ROLLBACK TO mine", &[b"ROLLBACK"], 0),
        (b"SAVEPOINT mine; ROLLBACK TO mine", &[b"SAVEPOINT", b"ROLLBACK"], 0),
        (b"ROLLBACK TO mine; ROLLBACK; BEGIN", &[b"ROLLBACK", b"ROLLBACK", b"BEGIN"], 2),
    ];
    for (text, tags, expected) in cases {
        let seen = ends(&mut client, &mut server, query(text), tags).await;
        assert_eq!(seen, expected, "{}", text.escape_ascii());
        assert!(!observed.transaction.may_be_ending());
    }
    // The same of prepared statements, by their names.
    for (name, text, expected) in
        [(&b"s1"[..], &b"ROLLBACK TO mine"[..], 0), (b"s2", b"ROLLBACK AND CHAIN", 1)]
    {
        let seen = ends(&mut client, &mut server, prepare(name, text), &[]).await;
        assert_eq!(seen, 0, "it is only prepared");
        let seen = ends(&mut client, &mut server, execute(name), &[b"ROLLBACK"]).await;
        assert_eq!(seen, expected, "{}", text.escape_ascii());
    }
}

#[tokio::test]
async fn an_end_that_was_sent_and_not_answered_is_known() {
    let (mut client, mut server, observed) = connected(None).await;
    send(&mut client, &message(b'Q', &[b"SELECT 1; COMMIT\0"])).await;
    assert!(observed.transaction.may_be_ending());
    server.write_all(&ready(b'I')).await.unwrap();
    expect(&mut client, &ready(b'I')).await;
    assert!(!observed.transaction.may_be_ending());
    send(&mut client, &message(b'Q', &[b"SELECT 'COMMIT'\0"])).await;
    assert!(!observed.transaction.may_be_ending());
}
