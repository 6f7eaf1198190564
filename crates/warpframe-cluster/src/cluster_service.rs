//! warpframe's own gRPC service of a scheduler, beside that of Ballista: the cluster's status, and the leases of jobs.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::Notify;
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::server::{Grpc as Server, NamedService, UnaryService};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::leases::Leases;

/// Returns the cluster's status as JSON.
const STATUS: &str = "/warpframe.Cluster/Status";

/// Renews the lease of a job, whose id is the message. The answer is whether the job has a lease.
const RENEW: &str = "/warpframe.Cluster/Renew";

/// Releases the lease of a job, whose id is the message: the job is cancelled and its files are removed.
const RELEASE: &str = "/warpframe.Cluster/Release";

/// A callback that returns the status as JSON.
type StatusProvider = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// The server of the service.
#[derive(Clone)]
pub(super) struct ClusterService {
    collect_status: StatusProvider,
    leases: Arc<Leases>,
    /// Notified when a lease is released.
    released: Arc<Notify>,
}

impl ClusterService {
    /// The service whose status is the result of `collect`.
    pub fn new<F: Future<Output = String> + Send + 'static>(
        collect: impl Fn() -> F + Send + Sync + 'static,
        leases: Arc<Leases>,
        released: Arc<Notify>,
    ) -> Self {
        Self { collect_status: Arc::new(move || collect().boxed()), leases, released }
    }
}

impl NamedService for ClusterService {
    const NAME: &'static str = "warpframe.Cluster";
}

impl Service<http::Request<Body>> for ClusterService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Self { collect_status, leases, released } = self.clone();
        match request.uri().path() {
            STATUS => answer(request, move |()| collect_status()),
            RENEW => answer(request, move |job: String| ready(leases.renew(&job, Instant::now())).boxed()),
            RELEASE => answer(request, move |job: String| {
                leases.release(&job, Instant::now());
                released.notify_one();
                ready(()).boxed()
            }),
            _ => ready(Ok(Status::new(Code::Unimplemented, "no such method").into_http())).boxed(),
        }
    }
}

/// Answers a request by a method.
fn answer<Q, A>(
    request: http::Request<Body>,
    method: impl Fn(Q) -> BoxFuture<'static, A> + Send + Sync + 'static,
) -> BoxFuture<'static, Result<http::Response<Body>, Infallible>>
where
    Q: Message + Default + 'static,
    A: Message + 'static,
{
    let method = Method(Box::new(method));
    async move { Ok(Server::new(ProstCodec::<A, Q>::default()).unary(method, request).await) }.boxed()
}

/// A method of the service.
struct Method<Q, A>(Box<dyn Fn(Q) -> BoxFuture<'static, A> + Send + Sync>);

impl<Q, A: 'static> UnaryService<Q> for Method<Q, A> {
    type Response = A;
    type Future = BoxFuture<'static, Result<Response<A>, Status>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        (self.0)(request.into_inner()).map(|answer| Ok(Response::new(answer))).boxed()
    }
}

/// Calls a method of a scheduler's service.
async fn call<Q, A>(channel: Channel, path: &'static str, request: Q) -> Result<A, Status>
where
    Q: Message + Send + 'static,
    A: Message + Default + Send + 'static,
{
    let mut client = Client::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static(path);
    Ok(client.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await?.into_inner())
}

/// Requests the status from a scheduler, as JSON.
pub(super) async fn request_status(channel: Channel) -> Result<String, Status> {
    call(channel, STATUS, ()).await
}

/// Renews the lease of a job, and returns whether it has one: it has none before it is planned.
pub(super) async fn renew_lease(channel: Channel, job: String) -> Result<bool, Status> {
    call(channel, RENEW, job).await
}

/// Releases the lease of a job: if it runs it is cancelled, and its files are removed.
pub(super) async fn release_lease(channel: Channel, job: String) -> Result<(), Status> {
    call(channel, RELEASE, job).await
}
