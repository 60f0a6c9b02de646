//! What is sent otherwise behind a transaction pooler.
//!
//! A transaction pooler gives each transaction another connection to the server. A named prepared statement
//! lives in one of those, so `Bind` finds it missing on the next one, or finds somebody else's of the
//! same name: tokio-postgres counts `s0`, `s1`, .. in every process, and a client then reads the rows of
//! another one's query. So no named statement ever reaches the pooler:
//!
//! - `Parse`, `Describe` and `Close` are sent under the empty name, and the text of each statement is kept here.
//! - `Bind` of a named statement is preceded by its `Parse` under the empty name. Both are in one batch up to
//!   the same `Sync`, which a pooler keeps together, so it costs no round trip. The answer to that `Parse` is
//!   taken out again, as the driver does not wait for it.
//!
//! And a statement that would leave something in the session is not sent at all: the pooler would hand it to
//! whoever has that connection next. It is answered here, with an error of SQLSTATE 0A000.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{body_length, text};
use super::observer::{StreamObserver, effects_of};

/// How much is kept to be sent before more is taken.
const OUT_LIMIT: usize = 64 * 1024;

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

const REFUSED: &str = "this statement needs a session of its own, and behind a pooler in transaction mode \
     (pooler = \"transaction\") the next transaction has another one: use SET LOCAL, a transaction-level lock \
     or a bind without a pooler";

/// Whether statements that need a session are refused: not while the connection is set up.
#[derive(Debug, Clone, Default)]
pub(in crate::backend::postgres) struct Refusal(Arc<AtomicBool>);

impl Refusal {
    /// From now on.
    pub(in crate::backend::postgres) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_due(&self, query: &[u8]) -> bool {
        self.0.load(Ordering::Relaxed) && effects_of(query).is_certain
    }
}

/// Both directions of a stream through a transaction pooler.
pub(super) struct Rewriter {
    refusal: Refusal,
    is_started: bool,
    /// Whether what follows up to the next `Sync` belongs to a statement that was refused.
    is_discarding: bool,
    /// The beginning of a message whose end has not come.
    incomplete: Vec<u8>,
    /// What is to be sent.
    out: Vec<u8>,
    /// What was read and not yet handed on.
    clean: Vec<u8>,
    handed_on: usize,
    /// The bodies of `Parse`, without the name.
    statements: HashMap<Vec<u8>, Vec<u8>>,
    expected: VecDeque<Expected>,
    header: [u8; 5],
    header_length: usize,
    remaining: usize,
    is_dropping: bool,
    last_status: u8,
    chunk: Box<[u8]>,
}

/// An answer that is to come.
enum Expected {
    ParseComplete {
        is_injected: bool,
    },
    ReadyForQuery,
    /// Not from the server: the statement was not sent.
    Refusal,
}

impl Rewriter {
    pub(super) fn new(refusal: Refusal) -> Self {
        Self {
            refusal,
            is_started: false,
            is_discarding: false,
            incomplete: Vec::new(),
            out: Vec::new(),
            clean: Vec::new(),
            handed_on: 0,
            statements: HashMap::new(),
            expected: VecDeque::new(),
            header: [0; 5],
            header_length: 0,
            remaining: 0,
            is_dropping: false,
            last_status: b'I',
            chunk: vec![0; CHUNK].into_boxed_slice(),
        }
    }

    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut S,
        observer: &mut StreamObserver,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.out.len() > OUT_LIMIT {
            ready!(self.poll_drain(inner, context))?;
        }
        let before = self.out.len();
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
        observer.sent(&self.out[before..]);
        if self.answer_refusals() {
            // The task that writes is the one that reads.
            context.waker().wake_by_ref();
        }
        // What cannot be written now is written when the stream is flushed.
        if let Poll::Ready(outcome) = self.poll_drain(inner, context) {
            outcome?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    /// Sends what is kept.
    pub(super) fn poll_drain<S: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut sent = 0;
        let outcome = loop {
            if sent == self.out.len() {
                break Poll::Ready(Ok(()));
            }
            match Pin::new(&mut *inner).poll_write(context, &self.out[sent..]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => sent += written,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.out.drain(..sent);
        outcome
    }

    /// Takes whole messages, and returns how many bytes they are.
    fn rewrite(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        if !self.is_started {
            let Some(length) = bytes.first_chunk().map(|length| u32::from_be_bytes(*length)) else {
                return 0;
            };
            let length = length as usize;
            if bytes.len() < length {
                return 0;
            }
            self.out.extend_from_slice(&bytes[..length]);
            self.is_started = true;
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
        if self.is_discarding {
            if kind == b'S' {
                self.is_discarding = false;
                self.expected.push_back(Expected::Refusal);
            }
            return;
        }
        match kind {
            b'P' => {
                let Some((name, rest)) = text(body) else { return self.pass(message) };
                if text(rest).is_some_and(|(query, _)| self.refusal.is_due(query)) {
                    self.is_discarding = true;
                    return;
                }
                if !name.is_empty() {
                    self.statements.insert(name.to_vec(), rest.to_vec());
                }
                self.parse(rest, false);
            }
            b'B' => {
                let Some((portal, rest)) = text(body) else { return self.pass(message) };
                let Some((name, rest)) = text(rest) else { return self.pass(message) };
                if let Some(statement) = self.statements.remove(name) {
                    self.parse(&statement, true);
                    self.statements.insert(name.to_vec(), statement);
                }
                write(&mut self.out, b'B', &[portal, b"\0\0", rest]);
            }
            b'D' | b'C' if body.first() == Some(&b'S') => {
                if kind == b'C'
                    && let Some((name, _)) = text(&body[1..])
                {
                    self.statements.remove(name);
                }
                write(&mut self.out, kind, &[b"S\0"]);
            }
            b'Q' if text(body).is_some_and(|(query, _)| self.refusal.is_due(query)) => {
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
        self.out.extend_from_slice(message);
    }

    fn parse(&mut self, statement: &[u8], is_injected: bool) {
        write(&mut self.out, b'P', &[b"\0", statement]);
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
            let clean = &self.clean[self.handed_on..];
            if !clean.is_empty() {
                let length = clean.len().min(buffer.remaining());
                buffer.put_slice(&clean[..length]);
                self.handed_on += length;
                if self.handed_on == self.clean.len() {
                    self.clean.clear();
                    self.handed_on = 0;
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

    /// Takes the answers out that the driver does not wait for, and puts in those that the server was not asked
    /// for.
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
                    self.clean.extend_from_slice(&self.header);
                }
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.remaining));
            if !self.is_dropping {
                self.clean.extend_from_slice(part);
            }
            if let (b'Z', Some(status)) = (self.header[0], part.first()) {
                self.last_status = *status;
            }
            self.remaining -= part.len();
            bytes = rest;
            if self.remaining == 0 {
                self.header_length = 0;
                if self.header[0] == b'Z' {
                    self.batch_is_over();
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

    /// After an error the server leaves out the answers up to the next `ReadyForQuery`.
    fn batch_is_over(&mut self) {
        while let Some(answer) = self.expected.pop_front() {
            if matches!(answer, Expected::ReadyForQuery) {
                break;
            }
        }
        self.answer_refusals();
    }

    /// Answers those statements that were refused, and whose turn it is. True if there were any.
    fn answer_refusals(&mut self) -> bool {
        let mut has_answered = false;
        while self.header_length == 0 && matches!(self.expected.front(), Some(Expected::Refusal)) {
            self.expected.pop_front();
            let severity = b"SERROR\0VERROR\0C0A000\0M";
            write(&mut self.clean, b'E', &[severity, REFUSED.as_bytes(), b"\0\0"]);
            write(&mut self.clean, b'Z', &[&[self.last_status]]);
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
