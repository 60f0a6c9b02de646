//! What the messages of a connection go through.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use crate::backend::observed::{Observed, TerminationGuard, TransactionStatus};
#[cfg(feature = "rustls")]
use crate::backend::tls::connector::Stream;

/// A connected stream, which tells the server good-bye when it is dropped.
///
/// diesel-async has its task drop the stream as soon as the connection is dropped, before tokio-postgres has sent
/// `Terminate`. The server would take that for a client that was lost.
pub(super) struct Transport {
    /// Empty only while it is dropped.
    stream: Option<AnyStream>,
    observed: Arc<Observed>,
    guard: Option<TerminationGuard>,
}

/// A stream, encrypted or not.
pub(super) enum AnyStream {
    Plain(Socket),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
    #[cfg(feature = "rustls")]
    Tls(Stream),
}

/// The message that ends a session: its kind, and its length.
const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];

/// How long a server that reads nothing is given to hear it.
const FAREWELL: Duration = Duration::from_secs(5);

impl Transport {
    pub(super) fn new(stream: AnyStream, observed: &Arc<Observed>) -> Self {
        let guard = Some(TerminationGuard::new(observed));
        Self { stream: Some(stream), observed: Arc::clone(observed), guard }
    }

    fn stream(self: Pin<&mut Self>) -> io::Result<&mut AnyStream> {
        self.get_mut().stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        let (Some(stream), guard) = (self.stream.take(), self.guard.take()) else { return };
        if self.observed.transaction.status() == TransactionStatus::Unknown {
            // The server has not let us in, or is not asked for a session: it expects another message.
            return;
        }
        let mut farewell = Box::pin(send_terminate(stream, guard));
        // Mostly there is room for so little in the socket's buffer, and nothing to wait for.
        let is_said = farewell.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        if !is_said && let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { drop(timeout(FAREWELL, farewell).await) });
        }
    }
}

async fn send_terminate(mut stream: AnyStream, guard: Option<TerminationGuard>) {
    let said = async {
        stream.write_all(&TERMINATE).await?;
        stream.flush().await?;
        stream.shutdown().await
    };
    // A server that is gone has nothing to be told.
    let _: io::Result<()> = said.await;
    drop(stream);
    drop(guard);
}

impl TlsStream for Transport {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.stream {
            #[cfg(feature = "rustls")]
            Some(AnyStream::Tls(stream)) => stream.channel_binding(),
            _ => ChannelBinding::none(),
        }
    }
}

/// Calls a method of whichever stream it is.
macro_rules! on {
    ($transport:expr, $stream:ident => $call:expr) => {
        match $transport {
            AnyStream::Plain($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            #[cfg(unix)]
            AnyStream::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            #[cfg(feature = "rustls")]
            AnyStream::Tls($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
        }
    };
}

impl AsyncRead for AnyStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on!(self.get_mut(), stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for AnyStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on!(self.get_mut(), stream => stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self.get_mut(), stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self.get_mut(), stream => stream.poll_shutdown(context))
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.stream()?).poll_read(context, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream()?).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()?).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()?).poll_shutdown(context)
    }
}
