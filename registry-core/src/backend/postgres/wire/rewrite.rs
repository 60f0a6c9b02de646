//! The rewriting of a stream behind a transaction pooler.
//!
//! A transaction pooler gives each transaction another connection to the server. A named prepared statement exists on only
//! one of these connections. On the next connection, `Bind` does not find the statement, or finds another client's statement
//! of the same name: tokio-postgres counts `s0`, `s1`, .. in every process. A client would then read the rows of another
//! client's query. So no named statement ever reaches the pooler:
//!
//! - `Parse`, `Describe` and `Close` are sent with the empty name, and the text of each statement is kept here.
//! - `Bind` of a named statement is preceded by its `Parse` with the empty name. Both are in one batch up to the same `Sync`,
//!   which a pooler keeps together, so the `Parse` takes no round trip of its own. The answer to the injected `Parse` is
//!   removed again, because the driver does not wait for it.
//!
//! A statement that would change the session is not sent at all, because the next client on that connection would inherit
//! the change. The statement is answered here, with an error of SQLSTATE 0A000 (feature_not_supported).

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{body_length, text};
use super::observer::{StreamObserver, effects_of};

/// The maximum number of bytes in the send buffer. When it is reached, no more bytes are accepted.
const SEND_LIMIT: usize = 64 * 1024;

/// The number of bytes that are read at once.
const READ_SIZE: usize = 16 * 1024;

const REFUSED_MESSAGE: &str = "this statement needs a session of its own, and behind a pooler in transaction mode \
     (pooler = \"transaction\") the next transaction has another one: use SET LOCAL, a transaction-level lock \
     or a bind without a pooler";

/// Whether statements that need a session are refused. They are accepted during the setup of the connection.
#[derive(Debug, Clone, Default)]
pub(in crate::backend::postgres) struct Refusal(Arc<AtomicBool>);

impl Refusal {
    /// Refuses such statements from now on.
    pub(in crate::backend::postgres) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn refuses(&self, query: &[u8]) -> bool {
        self.0.load(Ordering::Relaxed) && effects_of(query).is_certain
    }
}

/// Both directions of a stream through a transaction pooler.
pub(super) struct Rewriter {
    refusal: Refusal,
    sending: Sending,
    /// The beginning of a message whose end has not been written.
    incomplete: Vec<u8>,
    /// The bytes to send.
    to_server: Vec<u8>,
    /// The bytes for the driver to read.
    to_driver: Vec<u8>,
    read_by_driver: usize,
    /// The bodies of `Parse` without the name, by name.
    statements: HashMap<Vec<u8>, Vec<u8>>,
    expected: VecDeque<Expected>,
    header: [u8; 5],
    header_length: usize,
    remaining: usize,
    is_dropping: bool,
    last_status: u8,
    chunk: Box<[u8]>,
}

/// The treatment of the driver's next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// The message is the first one, which has no kind, and is sent as it is.
    Startup,
    /// The message is rewritten.
    Messages,
    /// The message belongs to a refused statement and is not sent, like all messages up to the next `Sync`.
    Discarding,
}

/// An expected answer.
enum Expected {
    ParseComplete {
        is_injected: bool,
    },
    ReadyForQuery,
    /// The answer to a statement that was not sent, so it does not come from the server.
    Refusal,
}

impl Rewriter {
    pub(super) fn new(refusal: Refusal) -> Self {
        Self {
            refusal,
            sending: Sending::Startup,
            incomplete: Vec::new(),
            to_server: Vec::new(),
            to_driver: Vec::new(),
            read_by_driver: 0,
            statements: HashMap::new(),
            expected: VecDeque::new(),
            header: [0; 5],
            header_length: 0,
            remaining: 0,
            is_dropping: false,
            last_status: b'I',
            chunk: vec![0; READ_SIZE].into_boxed_slice(),
        }
    }

    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut S,
        observer: &mut StreamObserver,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.to_server.len() > SEND_LIMIT {
            ready!(self.poll_drain(inner, context))?;
        }
        let before = self.to_server.len();
        if self.incomplete.is_empty() {
            let taken = self.rewrite(bytes);
            self.incomplete.extend_from_slice(&bytes[taken..]);
        } else {
            let mut whole = std::mem::take(&mut self.incomplete);
            whole.extend_from_slice(bytes);
            let taken = self.rewrite(&whole);
            whole.drain(..taken);
            self.incomplete = whole;
        }
        observer.sent(&self.to_server[before..]);
        if self.answer_refusals() {
            // tokio-postgres writes and reads in one task. There is something to read for it now.
            context.waker().wake_by_ref();
        }
        // Bytes that cannot be written now are written when the stream is flushed.
        if let Poll::Ready(outcome) = self.poll_drain(inner, context) {
            outcome?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// Sends the buffered bytes.
    pub(super) fn poll_drain<S: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut sent = 0;
        let outcome = loop {
            if sent == self.to_server.len() {
                break Poll::Ready(Ok(()));
            }
            match Pin::new(&mut *inner).poll_write(context, &self.to_server[sent..]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => sent += written,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.to_server.drain(..sent);
        outcome
    }

    /// Rewrites the complete messages, and returns how many bytes they are.
    fn rewrite(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        if self.sending == Sending::Startup {
            let Some(length) = bytes.first_chunk().map(|length| u32::from_be_bytes(*length)) else {
                return 0;
            };
            let length = length as usize;
            if bytes.len() < length {
                return 0;
            }
            self.to_server.extend_from_slice(&bytes[..length]);
            self.sending = Sending::Messages;
            at = length;
        }
        while let Some(header) = bytes[at..].first_chunk::<5>() {
            let length = header.len() + body_length(header);
            let Some(message) = bytes[at..].get(..length) else { break };
            self.rewrite_message(message);
            at += length;
        }
        at
    }

    fn rewrite_message(&mut self, message: &[u8]) {
        let (kind, body) = (message[0], &message[5..]);
        if self.sending == Sending::Discarding {
            if kind == b'S' {
                self.sending = Sending::Messages;
                self.expected.push_back(Expected::Refusal);
            }
            return;
        }
        match kind {
            b'P' => {
                let Some((name, rest)) = text(body) else { return self.pass(message) };
                if text(rest).is_some_and(|(query, _)| self.refusal.refuses(query)) {
                    self.sending = Sending::Discarding;
                    return;
                }
                if !name.is_empty() {
                    self.statements.insert(name.to_vec(), rest.to_vec());
                }
                self.send_parse(rest, false);
            }
            b'B' => {
                let Some((portal, rest)) = text(body) else { return self.pass(message) };
                let Some((name, rest)) = text(rest) else { return self.pass(message) };
                if let Some(statement) = self.statements.remove(name) {
                    self.send_parse(&statement, true);
                    self.statements.insert(name.to_vec(), statement);
                }
                write(&mut self.to_server, b'B', &[portal, b"\0\0", rest]);
            }
            b'D' | b'C' if body.first() == Some(&b'S') => {
                if kind == b'C'
                    && let Some((name, _)) = text(&body[1..])
                {
                    self.statements.remove(name);
                }
                write(&mut self.to_server, kind, &[b"S\0"]);
            }
            b'Q' if text(body).is_some_and(|(query, _)| self.refusal.refuses(query)) => {
                self.expected.push_back(Expected::Refusal);
            }
            b'S' | b'Q' => {
                self.expected.push_back(Expected::ReadyForQuery);
                self.pass(message);
            }
            _ => self.pass(message),
        }
    }

    fn pass(&mut self, message: &[u8]) {
        self.to_server.extend_from_slice(message);
    }

    fn send_parse(&mut self, statement: &[u8], is_injected: bool) {
        write(&mut self.to_server, b'P', &[b"\0", statement]);
        self.expected.push_back(Expected::ParseComplete { is_injected });
    }

    pub(super) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        inner: &mut S,
        observer: &mut StreamObserver,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let to_driver = &self.to_driver[self.read_by_driver..];
            if !to_driver.is_empty() {
                let length = to_driver.len().min(buffer.remaining());
                buffer.put_slice(&to_driver[..length]);
                self.read_by_driver += length;
                if self.read_by_driver == self.to_driver.len() {
                    self.to_driver.clear();
                    self.read_by_driver = 0;
                }
                return Poll::Ready(Ok(()));
            }
            let mut chunk = std::mem::take(&mut self.chunk);
            let mut read = ReadBuf::new(&mut chunk);
            let outcome = Pin::new(&mut *inner).poll_read(context, &mut read);
            let length = read.filled().len();
            observer.received(&chunk[..length]);
            self.filter(&chunk[..length]);
            self.chunk = chunk;
            ready!(outcome)?;
            if length == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Removes the answers that the driver does not expect, and inserts the answers to statements that were not sent.
    fn filter(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.header_length < self.header.len() {
                let taken = bytes.len().min(self.header.len() - self.header_length);
                self.header[self.header_length..][..taken].copy_from_slice(&bytes[..taken]);
                self.header_length += taken;
                bytes = &bytes[taken..];
                if self.header_length < self.header.len() {
                    return;
                }
                self.remaining = body_length(&self.header);
                self.is_dropping = self.header[0] == b'1' && self.is_answer_to_injected();
                if !self.is_dropping {
                    self.to_driver.extend_from_slice(&self.header);
                }
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.remaining));
            if !self.is_dropping {
                self.to_driver.extend_from_slice(part);
            }
            if let (b'Z', Some(status)) = (self.header[0], part.first()) {
                self.last_status = *status;
            }
            self.remaining -= part.len();
            bytes = rest;
            if self.remaining == 0 {
                self.header_length = 0;
                if self.header[0] == b'Z' {
                    self.end_batch();
                }
            }
        }
    }

    fn is_answer_to_injected(&mut self) -> bool {
        match self.expected.front() {
            Some(Expected::ParseComplete { is_injected }) => {
                let is_injected = *is_injected;
                self.expected.pop_front();
                is_injected
            }
            _ => false,
        }
    }

    /// After an error, the server omits the answers up to the next `ReadyForQuery`.
    fn end_batch(&mut self) {
        while let Some(answer) = self.expected.pop_front() {
            if matches!(answer, Expected::ReadyForQuery) {
                break;
            }
        }
        self.answer_refusals();
    }

    /// Answers the refused statements that are next in the order of answers. True if there were any.
    fn answer_refusals(&mut self) -> bool {
        let mut has_answered = false;
        while self.header_length == 0 && matches!(self.expected.front(), Some(Expected::Refusal)) {
            self.expected.pop_front();
            let severity = b"SERROR\0VERROR\0C0A000\0M";
            write(&mut self.to_driver, b'E', &[severity, REFUSED_MESSAGE.as_bytes(), b"\0\0"]);
            write(&mut self.to_driver, b'Z', &[&[self.last_status]]);
            has_answered = true;
        }
        has_answered
    }
}

fn write(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.push(kind);
    // The driver's own messages are shorter than that, and none grows by more than its statement.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}
