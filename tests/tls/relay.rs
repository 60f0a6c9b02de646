//! Fake servers that accept TLS and then violate the protocol.

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// The `SSLRequest` message of PostgreSQL's protocol: its length and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The port of a server that accepts TLS and then sends something else. Plaintext connections are relayed to the
/// server at `port`.
pub(crate) async fn that_promises_tls(port: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let own = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut first = [0; 8];
                client.read_exact(&mut first).await?;
                if first == SSL_REQUEST {
                    client.write_all(b"S").await?;
                    client.read_u8().await?;
                    client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
                    // Reads until the client closes: an earlier close would send a reset, which could discard the
                    // answer.
                    tokio::io::copy(&mut client, &mut tokio::io::sink()).await?;
                } else {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                    server.write_all(&first).await?;
                    copy_bidirectional(&mut client, &mut server).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    own.to_string()
}

/// The port of a server that accepts TLS and then closes the connection.
pub(crate) async fn that_closes_after_promising_tls() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut first = [0; 8];
            let _ = client.read_exact(&mut first).await;
            let _ = client.write_all(b"S").await;
        }
    });
    port
}
