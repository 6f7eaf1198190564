//! The blocks of a partition on another executor. After a failed connection or a block that was damaged on its way, the rest
//! is requested again.

use std::sync::Arc;
use std::time::Duration;

use arrow::buffer::Buffer;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use tonic::{Code, Status, Streaming};

use super::checksums::{Block, FileChecksums};
use super::executor_connections::ExecutorConnections;
use super::shuffle_file::ShufflePartition;
use super::shuffle_service::{FetchReply, FetchRequest, request_partition};

/// How often and after which time a failed transfer is continued.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retries {
    pub times: usize,
    pub wait: Duration,
}

/// The verified blocks of a partition, which an executor sends.
pub(super) struct RemoteBlocks {
    connections: Arc<ExecutorConnections>,
    host: String,
    port: u16,
    partition: ShufflePartition,
    /// The name of the file.
    file: String,
    retries: Retries,
    /// All blocks of the partition, or `None` before the first answer.
    blocks: Option<Vec<Block>>,
    /// The number of verified blocks.
    verified: usize,
    replies: Option<Streaming<FetchReply>>,
}

/// Why a block has not arrived.
enum Failure {
    /// Another attempt can succeed.
    Transient(DataFusionError),
    Permanent(DataFusionError),
}

impl RemoteBlocks {
    /// The blocks of a partition on the executor at this address. Nothing is connected before the first block is asked for.
    ///
    /// # Errors
    /// The partition is not valid.
    pub fn new(
        connections: Arc<ExecutorConnections>,
        host: &str,
        port: u16,
        partition: ShufflePartition,
        retries: Retries,
    ) -> Result<Self> {
        let (host, file) = (host.to_owned(), partition.file_name()?);
        let (blocks, replies) = (None, None);
        Ok(Self { connections, host, port, partition, file, retries, blocks, verified: 0, replies })
    }

    /// The next block, or `None` after the last one.
    ///
    /// # Errors
    /// The executor does not answer, does not have the partition, or its file is damaged.
    pub async fn next(&mut self) -> Result<Option<Buffer>> {
        let mut failures = 0;
        loop {
            match self.receive().await {
                Ok(block) => return Ok(block),
                Err(Failure::Transient(error)) if failures < self.retries.times => {
                    log::warn!("continuing the transfer from {}:{}: {error}", self.host, self.port);
                    failures += 1;
                    self.replies = None;
                    tokio::time::sleep(self.retries.wait).await;
                }
                Err(Failure::Transient(error) | Failure::Permanent(error)) => return Err(error),
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<Buffer>, Failure> {
        let replies = match &mut self.replies {
            Some(replies) => replies,
            None => self.request().await?,
        };
        let reply = replies.message().await;
        let block = self.blocks.as_ref().and_then(|blocks| blocks.get(self.verified));
        match (reply, block) {
            (Ok(Some(reply)), Some(block)) => {
                block.verify(&reply.bytes, &self.file).map_err(|error| self.damaged(&error))?;
                self.verified += 1;
                Ok(Some(Buffer::from(reply.bytes)))
            }
            (Ok(None), None) => Ok(None),
            (Ok(_), _) => Err(Failure::Transient(self.error("it has sent another number of blocks"))),
            (Err(status), _) => Err(self.failure(&status)),
        }
    }

    /// Requests the blocks that are not verified yet.
    async fn request(&mut self) -> Result<&mut Streaming<FetchReply>, Failure> {
        let channel = self.connections.connect(&self.host, self.port).await;
        let channel = channel.map_err(|error| Failure::Transient(self.error(error.message())))?;
        let (partition, first_block) = (Some(self.partition.clone()), self.verified as u64);
        let request = FetchRequest { partition, first_block };
        let answer = request_partition(channel, request).await;
        let mut replies = answer.map_err(|status| self.failure(&status))?;
        let first = replies.message().await.map_err(|status| self.failure(&status))?;
        let sealed = first.unwrap_or_default().bytes;
        let blocks = FileChecksums::unseal(&sealed, &self.file)
            .and_then(|checksums| checksums.blocks(&(0..checksums.parts.len()).collect::<Vec<_>>()))
            .map_err(|error| self.damaged(&error))?;
        if self.blocks.get_or_insert_with(|| blocks.clone()) != &blocks {
            return Err(Failure::Permanent(self.error("the file has changed")));
        }
        Ok(self.replies.insert(replies))
    }

    fn failure(&self, status: &Status) -> Failure {
        let error = self.error(status.message());
        match status.code() {
            Code::NotFound
            | Code::DataLoss
            | Code::InvalidArgument
            | Code::Unauthenticated
            | Code::Unimplemented => Failure::Permanent(error),
            _ => Failure::Transient(error),
        }
    }

    /// What has arrived is damaged, maybe on its way only.
    fn damaged(&self, error: &DataFusionError) -> Failure {
        Failure::Transient(self.error(error.message()))
    }

    fn error(&self, cause: impl std::fmt::Display) -> DataFusionError {
        exec_datafusion_err!("a partition on {}:{} cannot be fetched: {cause}", self.host, self.port)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::convert::Infallible;
    use std::task::{Context, Poll};

    use futures::FutureExt;
    use futures::future::BoxFuture;
    use parking_lot::Mutex;
    use tokio::net::TcpListener;
    use tonic::body::Body;
    use tonic::server::{Grpc, NamedService, ServerStreamingService};
    use tonic::transport::Server;
    use tonic::transport::server::TcpIncoming;
    use tonic::{Request, Response};
    use tonic_prost::ProstCodec;
    use tower_service::Service;

    use super::super::endpoint::ConnectionSecurity;
    use super::*;

    /// A server of prepared answers, the last of which it repeats.
    #[derive(Clone, Default)]
    struct Answers(Arc<Mutex<Vec<Vec<Vec<u8>>>>>);

    impl NamedService for Answers {
        const NAME: &'static str = "warpframe.Shuffle";
    }

    impl ServerStreamingService<FetchRequest> for Answers {
        type Response = FetchReply;
        type ResponseStream = futures::stream::Iter<std::vec::IntoIter<Result<FetchReply, Status>>>;
        type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

        fn call(&mut self, request: Request<FetchRequest>) -> Self::Future {
            let mut answers = self.0.lock();
            let messages = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            let skipped = request.get_ref().first_block as usize;
            let replies = messages.into_iter().enumerate();
            let replies = replies.filter(|(place, _)| *place == 0 || *place > skipped);
            let replies: Vec<_> = replies.map(|(_, bytes)| Ok(FetchReply { bytes: bytes.into() })).collect();
            async { Ok(Response::new(futures::stream::iter(replies))) }.boxed()
        }
    }

    impl Service<http::Request<Body>> for Answers {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            let server = self.clone();
            async move { Ok(Grpc::new(ProstCodec::default()).server_streaming(server, request).await) }
                .boxed()
        }
    }

    async fn receive(connections: &Arc<ExecutorConnections>, port: u16, times: usize) -> Result<Vec<u8>> {
        let partition = ShufflePartition {
            job: "job".to_owned(),
            stage: 1,
            partition: 1,
            file: Some(5),
            is_sorted: true,
        };
        let retries = Retries { times, wait: Duration::ZERO };
        let connections = Arc::clone(connections);
        let mut blocks = RemoteBlocks::new(connections, "127.0.0.1", port, partition, retries)?;
        let mut bytes = Vec::new();
        while let Some(block) = blocks.next().await? {
            bytes.extend_from_slice(&block);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn damaged_messages_are_requested_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.arrow");
        let bytes: Vec<u8> = (0..100).collect();
        std::fs::write(&path, &bytes).unwrap();
        let checksums =
            FileChecksums::of_file(&path, "job/1/5/data.arrow".to_owned(), &[30, 60, 100]).unwrap();
        let sealed = checksums.select(&[0, 2]).unwrap().seal();
        let intact = vec![sealed, bytes[..30].to_vec(), bytes[60..].to_vec()];
        let expected = [&bytes[..30], &bytes[60..]].concat();

        let answers = Answers::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server::builder().add_service(answers.clone());
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
        let connections = Arc::new(ExecutorConnections::new(ConnectionSecurity::default()));

        let mut damaged = Vec::new();
        for (message, bytes) in intact.iter().enumerate() {
            for bit in 0..8 * bytes.len() {
                let mut flipped = intact.clone();
                flipped[message][bit / 8] ^= 1 << (bit % 8);
                damaged.push(flipped);
            }
            damaged.push([&intact[..message], &intact[message + 1..]].concat());
            damaged.push([&intact[..=message], &intact[message..]].concat());
            let mut shorter = intact.clone();
            shorter[message].pop();
            damaged.push(shorter);
        }
        // The checksums of another file.
        let mut others = intact.clone();
        others[0] = FileChecksums { file: "job/1/6/data.arrow".to_owned(), ..checksums.clone() }.seal();
        damaged.push(others);
        for messages in damaged {
            *answers.0.lock() = vec![messages.clone(), intact.clone()];
            assert_eq!(receive(&connections, port, 1).await.unwrap(), expected, "{messages:?}");
            *answers.0.lock() = vec![messages.clone()];
            assert!(receive(&connections, port, 1).await.is_err(), "{messages:?}");
        }
    }
}
