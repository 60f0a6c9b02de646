//! The observed stream between tokio-postgres and the server.
//!
//! `ReadyForQuery` reports whether a transaction is open, `ErrorResponse` has a SQLSTATE, `ParameterStatus` reports the role
//! of the server, and the text of each statement is in `Parse` or `Query`. tokio-postgres passes none of this on. So each
//! connection has a [`Wire`] around its stream. The wire reads the headers of the messages, and the bodies of the few
//! relevant kinds, and records the results in [`Observed`]. This takes no round trip, and copies no message that arrives in
//! one piece.
//!
//! | file | contents |
//! |---|---|
//! | [`frames`] | finding messages in a stream that arrives in pieces |
//! | [`observer`] | reading the messages, and recording the state of the connection |
//! | [`error_response`] | the fields of an error, and their meaning |
//! | [`rewrite`] | rewriting the messages behind a transaction pooler |

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use self::observer::StreamObserver;
use self::rewrite::Rewriter;
use crate::backend::observed::Observed;

mod error_response;
mod frames;
mod observer;
mod rewrite;
#[cfg(test)]
mod tests;

pub(super) use self::rewrite::Refusal;

/// A stream to a PostgreSQL server that is observed.
pub(super) struct Wire<S> {
    inner: S,
    observer: StreamObserver,
    /// For a transaction pooler.
    rewriter: Option<Box<Rewriter>>,
}

impl<S> Wire<S> {
    /// With a `refusal`, the driver's messages are rewritten for a transaction pooler.
    pub(super) fn new(inner: S, observed: Arc<Observed>, refusal: Option<Refusal>) -> Self {
        let observer = StreamObserver::new(observed, refusal.is_none());
        let rewriter = refusal.map(|refusal| Box::new(Rewriter::new(refusal)));
        Self { inner, observer, rewriter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, observer, rewriter } = self.get_mut();
        if let Some(rewriter) = rewriter {
            return rewriter.poll_read(inner, observer, context, buffer);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(inner).poll_read(context, buffer))?;
        observer.received(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, observer, rewriter } = self.get_mut();
        observer.note_sending();
        if let Some(rewriter) = rewriter {
            return rewriter.poll_write(inner, observer, context, bytes);
        }
        let written = ready!(Pin::new(inner).poll_write(context, bytes))?;
        observer.sent(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, rewriter, .. } = self.get_mut();
        if let Some(rewriter) = rewriter {
            ready!(rewriter.poll_drain(inner, context))?;
        }
        Pin::new(inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, rewriter, .. } = self.get_mut();
        if let Some(rewriter) = rewriter {
            ready!(rewriter.poll_drain(inner, context))?;
        }
        Pin::new(inner).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Wire<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}
