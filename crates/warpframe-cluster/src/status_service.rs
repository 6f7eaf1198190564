//! The gRPC status service of a scheduler: one method without arguments, which returns the cluster's status as JSON.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::server::{Grpc as Server, NamedService, UnaryService};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// The path of the method.
const PATH: &str = "/warpframe.Cluster/Status";

/// A callback that returns the status as JSON.
type StatusProvider = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// The server of the status service.
#[derive(Clone)]
pub(super) struct StatusService(StatusProvider);

impl StatusService {
    /// The service that returns the result of `collect`.
    pub fn new<F: Future<Output = String> + Send + 'static>(
        collect: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move || collect().boxed()))
    }
}

impl NamedService for StatusService {
    const NAME: &'static str = "warpframe.Cluster";
}

impl UnaryService<()> for StatusService {
    type Response = String;
    type Future = BoxFuture<'static, Result<Response<String>, Status>>;

    fn call(&mut self, _: Request<()>) -> Self::Future {
        (self.0)().map(|status| Ok(Response::new(status))).boxed()
    }
}

impl Service<http::Request<Body>> for StatusService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        async move {
            if request.uri().path() != PATH {
                return Ok(Status::new(Code::Unimplemented, "no such method").into_http());
            }
            Ok(Server::new(ProstCodec::default()).unary(service, request).await)
        }
        .boxed()
    }
}

/// Requests the status from a scheduler, as JSON.
pub(super) async fn request_status(channel: Channel) -> Result<String, Status> {
    let mut client = Client::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static(PATH);
    let answer = client.unary(Request::new(()), path, ProstCodec::<(), String>::default()).await?;
    Ok(answer.into_inner())
}
