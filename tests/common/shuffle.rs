//! The protocol by which executors send partitions: a request for one, and a server of arbitrary answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use prost::Message;
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

#[derive(Clone, PartialEq, Message)]
pub struct Partition {
    #[prost(string, tag = "1")]
    pub job: String,
    #[prost(uint64, tag = "2")]
    pub stage: u64,
    #[prost(uint64, tag = "3")]
    pub partition: u64,
    #[prost(uint64, optional, tag = "4")]
    pub file: Option<u64>,
    #[prost(bool, tag = "5")]
    pub is_sorted: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct FetchRequest {
    #[prost(message, optional, tag = "1")]
    pub partition: Option<Partition>,
    #[prost(uint64, tag = "2")]
    pub first_block: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct FetchReply {
    #[prost(bytes = "vec", tag = "1")]
    pub bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Checksums {
    #[prost(string, tag = "1")]
    file: String,
    #[prost(message, repeated, tag = "2")]
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Message)]
struct Part {
    #[prost(fixed64, tag = "1")]
    start: u64,
    #[prost(fixed64, tag = "2")]
    end: u64,
    #[prost(fixed32, repeated, tag = "3")]
    checksums: Vec<u32>,
}

/// The messages of an answer.
pub struct FetchReplies(pub Vec<Vec<u8>>);

impl FetchReplies {
    /// The answer that sends these bytes, as one block, for the file of the requested partition.
    pub fn new(request: &FetchRequest, bytes: Vec<u8>) -> Self {
        let Partition { job, stage, partition, file, .. } = request.partition.clone().unwrap();
        let file = format!("{job}/{stage}/{partition}/data-{}.arrow", file.unwrap());
        let part = Part { start: 0, end: bytes.len() as u64, checksums: vec![crc32fast::hash(&bytes)] };
        let message = Checksums { file, parts: vec![part] }.encode_to_vec();
        let sealed = [&crc32fast::hash(&message).to_le_bytes()[..], &message].concat();
        Self(vec![sealed, bytes])
    }
}

/// A server that answers requests with the result of a function.
#[derive(Clone)]
pub struct FetchServer(Arc<dyn Fn(&FetchRequest) -> FetchReplies + Send + Sync>);

impl FetchServer {
    pub fn new(answer: impl Fn(&FetchRequest) -> FetchReplies + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }
}

impl NamedService for FetchServer {
    const NAME: &'static str = "warpframe.Shuffle";
}

impl ServerStreamingService<FetchRequest> for FetchServer {
    type Response = FetchReply;
    type ResponseStream = futures::stream::Iter<std::vec::IntoIter<Result<FetchReply, Status>>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<FetchRequest>) -> Self::Future {
        let replies: Vec<_> =
            self.0(request.get_ref()).0.into_iter().map(|bytes| Ok(FetchReply { bytes })).collect();
        async { Ok(Response::new(futures::stream::iter(replies))) }.boxed()
    }
}

impl Service<http::Request<Body>> for FetchServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let server = self.clone();
        async move { Ok(Grpc::new(ProstCodec::default()).server_streaming(server, request).await) }.boxed()
    }
}

/// Requests a partition from an executor and returns the first message of the answer.
pub async fn fetch(channel: Channel, request: FetchRequest) -> Result<Option<FetchReply>, Status> {
    let mut client = Client::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/warpframe.Shuffle/Fetch");
    let codec = ProstCodec::<FetchRequest, FetchReply>::default();
    client.server_streaming(Request::new(request), path, codec).await?.into_inner().message().await
}
