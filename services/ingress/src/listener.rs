//! Accepts connections, as many as the node may have (SEED-140).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hikyaku_runtime::error_chain::chain;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{
    app::Context,
    connection::{Connection, Door},
    decide::Peer,
    mail_log, metrics,
    proxy::{self, Proxied},
    service::TlsStart,
};

/// After a failed accept, which mostly means that there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);
const TOO_MANY: &[u8] = b"421 4.3.2 too many connections; try again\r\n";

/// `door` may change for connections that are to come; `stop` ends this, and no connection.
pub(crate) async fn accept(
    listener: TcpListener,
    door: watch::Receiver<Arc<Door>>,
    stop: CancellationToken,
    context: Arc<Context>,
) {
    loop {
        // Accepting comes first: clients whose connections the system has taken, and we have not, would be
        // reset by the end of the listener.
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = context.drain.cancelled() => return,
            () = stop.cancelled() => return,
        };
        let door = Arc::clone(&door.borrow());
        match accepted {
            Ok((stream, address)) => admit(stream, address, &door, &context).await,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The header of a balancer that is named stands in the place of the address of the connection.
async fn serve(mut stream: TcpStream, peer: SocketAddr, door: Arc<Door>, context: Arc<Context>) {
    let (address, port) = (peer.ip(), Some(peer.port()));
    if !context.config.proxy_from.iter().any(|network| network.contains(&address)) {
        return Connection::new(stream, Peer::Client(address), port, door, context).serve().await;
    }
    let header = tokio::select! {
        header = proxy::read(&mut stream) => header,
        () = context.drain.cancelled() => return,
    };
    let (peer, port) = match header {
        Ok(Proxied::Client(client)) => (Peer::Client(client.ip().to_canonical()), Some(client.port())),
        Ok(Proxied::Nobody) => (Peer::Probe(address), port),
        Err(error) => {
            metrics::proxy_refused();
            tracing::warn!(peer = %address, error = chain(&error), "a connection of a PROXY peer was ended");
            return;
        }
    };
    Connection::new(stream, peer, port, door, context).serve().await;
}

async fn admit(mut stream: TcpStream, address: SocketAddr, door: &Arc<Door>, context: &Arc<Context>) {
    // Replies are complete when they are written: waiting to fill a segment only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection was gone before it was served");
        return;
    }
    // ::ffff:192.0.2.1 is 192.0.2.1 to every rule.
    let client = address.ip().to_canonical();
    let Ok(permit) = Arc::clone(&context.permits).try_acquire_owned() else {
        metrics::refused("smtp.connections");
        mail_log::turned_away(client, "smtp.connections");
        // A new socket has room for a line, so this does not wait. Where TLS comes first the line
        // would be no part of it.
        if door.service.tls == TlsStart::OnRequest {
            let _ = tokio::time::timeout(PAUSE, stream.write_all(TOO_MANY)).await;
        }
        return;
    };
    let (door, end, context) = (Arc::clone(door), context.end.clone(), Arc::clone(context));
    let tasks = context.tasks.clone();
    tasks.spawn(async move {
        let _permit = permit;
        let _open = metrics::OpenConnection::new();
        tokio::select! {
            () = serve(stream, SocketAddr::new(client, address.port()), door, context) => {}
            () = end.cancelled() => {}
        }
    });
}
