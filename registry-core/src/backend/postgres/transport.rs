//! The stream of a connection, which ends the session when it is dropped.

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

/// A connected stream, which sends `Terminate` when it is dropped.
///
/// diesel-async has its task drop the stream as soon as the connection is dropped, before tokio-postgres has sent
/// `Terminate`. The server would log a lost client, and would notice the end of the session later.
pub(super) struct Transport {
    /// `None` only while it is dropped.
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

/// The message `Terminate`: its kind, and its length.
const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];

/// The limit of the wait for a server that does not read to accept `Terminate`.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(5);

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
            // No session has begun, or the connection is for a `CancelRequest`: the server expects another message.
            return;
        }
        let mut terminate = Box::pin(send_terminate(stream, guard));
        // Mostly the socket's buffer has room for five bytes, so there is no wait.
        let is_sent = terminate.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        if !is_sent && let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { drop(timeout(TERMINATE_TIMEOUT, terminate).await) });
        }
    }
}

async fn send_terminate(mut stream: AnyStream, guard: Option<TerminationGuard>) {
    let sent = async {
        stream.write_all(&TERMINATE).await?;
        stream.flush().await?;
        stream.shutdown().await
    };
    // A failure is ignored: the server is gone.
    let _: io::Result<()> = sent.await;
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

/// Calls a method of the stream, encrypted or not.
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
