//! [`ObjectArtifacts`](daa_store::object::ObjectArtifacts) in S3: the server of `DAA_TEST_S3` (`http://HOST:PORT`, any
//! credentials), or `moto_server` (PyPI `moto[server]`), which the tests start.

mod conformance;
mod faults;
mod support;
mod tls;
