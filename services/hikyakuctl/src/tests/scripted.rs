//! Services that answer as they are told.

mod queue; // the queue's
mod directory; // the directory's

use std::net::SocketAddr;

use hikyaku_proto::{
    admin::v1::queue_admin_service_server::QueueAdminServiceServer,
    directory::v1::directory_service_server::DirectoryServiceServer,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Status, transport::Server};

struct Scripted;

type Answers<R> = tokio_stream::Iter<std::vec::IntoIter<Result<R, Status>>>;

pub(super) async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .add_service(QueueAdminServiceServer::new(Scripted))
        .add_service(DirectoryServiceServer::new(Scripted))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(async move { server.await.unwrap() });
    address
}
