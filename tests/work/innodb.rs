//! What InnoDB lists of open transactions.

use std::time::Duration;

use tokio::sync::Mutex;

/// Reads `information_schema.innodb_trx` by `read`. InnoDB makes that list anew only if nobody has read it for
/// 100 ms, on any connection: who asks in a loop keeps it old for everybody. So the tests take turns.
pub(crate) async fn list<T>(read: impl Future<Output = T>) -> T {
    static TURN: Mutex<()> = Mutex::const_new(());
    let _turn = TURN.lock().await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    read.await
}
