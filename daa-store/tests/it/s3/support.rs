//! A prefix of its own for each test, in a bucket of a server that all share.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use daa_store::object::Bucket;

const BUCKET: &str = "daa-test";

/// Where the server is, and that it is there as long as this is held.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    child: Option<Child>,
}

static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    pub(super) fn shared() -> Arc<Self> {
        let mut shared = SERVER.lock().unwrap();
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::find());
        server.create_bucket();
        *shared = Arc::downgrade(&server);
        server
    }

    fn find() -> Self {
        if let Ok(url) = std::env::var("DAA_TEST_S3") {
            let address = url.trim_start_matches("http://").trim_end_matches('/').parse();
            return Self { address: address.expect("DAA_TEST_S3 is http://IP:PORT"), child: None };
        }
        Self::start()
    }

    /// One of its own.
    pub(super) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments.
    pub(super) fn start_with(arguments: &[&OsStr]) -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server: pip install 'moto[server]', or set DAA_TEST_S3");
        let server = Self { address: ([127, 0, 0, 1], port).into(), child: Some(child) };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(server.address).is_err() {
            assert!(Instant::now() < deadline, "moto_server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// `object_store` makes no buckets.
    pub(super) fn create_bucket(&self) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(self.request_for_bucket().as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 ") || answer.contains(" 409 "), "{answer}");
    }

    /// What asks for the bucket.
    pub(super) fn request_for_bucket(&self) -> String {
        let scope = "Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        format!(
            "PUT /{BUCKET} HTTP/1.1\r\nHost: {}\r\nAuthorization: AWS4-HMAC-SHA256 {scope}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A new place in the bucket.
pub(super) fn bucket(address: SocketAddr) -> Bucket {
    bucket_at(&format!("http://{address}")).with_plain_http()
}

pub(super) fn bucket_at(endpoint: &str) -> Bucket {
    Bucket::new(&format!("s3://{BUCKET}/{:016x}", rand::random::<u64>()))
        .unwrap()
        .with_setting("endpoint", endpoint)
        .with_setting("region", "us-east-1")
        .with_setting("access_key_id", "test")
        .with_setting("secret_access_key", "test")
        .with_options(|options| options.with_notice(Duration::ZERO))
}
