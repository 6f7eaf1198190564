//! The gRPC service through which executors and clients fetch partitions from the executor that has written them: one
//! method, which streams the checksums of the partition and then its blocks. Only the receiver verifies them. It replaces
//! Ballista's Flight service, whose answers have no checksums.

use std::convert::Infallible;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::server::{Grpc as Server, NamedService, ServerStreamingService};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::checksums::FileChecksums;
use super::shuffle_file::{ShufflePartition, read_block};

/// The path of the method.
const PATH: &str = "/warpframe.Shuffle/Fetch";

/// A request for a partition.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FetchRequest {
    #[prost(message, optional, tag = "1")]
    pub partition: Option<ShufflePartition>,
    /// The number of blocks to leave out, because the receiver has them.
    #[prost(uint64, tag = "2")]
    pub first_block: u64,
}

/// A message of the answer. The first one has the sealed checksums of all parts of the partition, each further one a block.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FetchReply {
    #[prost(bytes = "bytes", tag = "1")]
    pub bytes: Bytes,
}

/// The server of the service.
#[derive(Clone)]
pub(super) struct ShuffleService {
    work_dir: Arc<Path>,
}

impl ShuffleService {
    /// The service for the files below a work folder.
    pub fn new(work_dir: &Path) -> Self {
        Self { work_dir: work_dir.into() }
    }

    /// Opens a partition and returns its replies.
    fn open(&self, request: &FetchRequest) -> Result<BoxStream<'static, Result<FetchReply, Status>>, Status> {
        let partition = request.partition.as_ref();
        let partition = partition.ok_or_else(|| Status::invalid_argument("the request has no partition"))?;
        let name = partition.file_name().map_err(|error| Status::invalid_argument(error.message()))?;
        let path = self.work_dir.join(&name);
        let file = File::open(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Status::not_found(format!("there is no file '{name}'")),
            _ => Status::internal(format!("cannot read the file '{name}': {error}")),
        })?;
        let damaged = |error: datafusion::common::DataFusionError| Status::data_loss(error.message());
        let checksums = FileChecksums::read(&path, &name).map_err(damaged)?;
        let parts = partition.parts();
        let sealed = checksums.select(&parts).map_err(damaged)?.seal();
        let first = usize::try_from(request.first_block).unwrap_or(usize::MAX);
        let blocks = checksums.blocks(&parts).map_err(damaged)?.into_iter().skip(first);
        let data = stream::unfold((file, 0, blocks), move |(mut file, mut position, mut blocks)| {
            let name = name.clone();
            async move {
                let block = blocks.next()?;
                let read = SpawnedTask::spawn_blocking(move || {
                    let bytes = read_block(&mut file, &mut position, &block);
                    (bytes, (file, position, blocks))
                });
                let (bytes, rest) = read.join().await.ok()?;
                let failed = |error| Status::internal(format!("cannot read the file '{name}': {error}"));
                Some((bytes.map_err(failed), rest))
            }
        });
        let all = stream::iter([Ok(sealed)]).chain(data);
        Ok(all.map(|bytes| bytes.map(|bytes| FetchReply { bytes: bytes.into() })).boxed())
    }
}

impl NamedService for ShuffleService {
    const NAME: &'static str = "warpframe.Shuffle";
}

impl ServerStreamingService<FetchRequest> for ShuffleService {
    type Response = FetchReply;
    type ResponseStream = BoxStream<'static, Result<FetchReply, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<FetchRequest>) -> Self::Future {
        let service = self.clone();
        async move {
            let opened = SpawnedTask::spawn_blocking(move || service.open(request.get_ref()));
            let opened = opened.join().await.map_err(|error| Status::internal(error.to_string()))?;
            opened.map(Response::new)
        }
        .boxed()
    }
}

impl Service<http::Request<Body>> for ShuffleService {
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
            Ok(Server::new(ProstCodec::default()).server_streaming(service, request).await)
        }
        .boxed()
    }
}

/// Requests a partition from an executor.
pub(super) async fn request_partition(
    channel: Channel,
    request: FetchRequest,
) -> Result<Streaming<FetchReply>, Status> {
    let mut client = Client::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static(PATH);
    let codec = ProstCodec::<FetchRequest, FetchReply>::default();
    Ok(client.server_streaming(Request::new(request), path, codec).await?.into_inner())
}
