//! The examples that end by themselves.

#[allow(dead_code, reason = "its `main`")]
#[path = "../../examples/failed_logins.rs"]
mod failed_logins;
#[allow(dead_code, reason = "its `main`")]
#[path = "../../examples/llm_client.rs"]
mod llm_client;
#[allow(dead_code, reason = "its `main`")]
#[path = "../../examples/tonic_service.rs"]
mod tonic_service;

use tonic::Code;

use super::server::soon;

#[tokio::test]
async fn only_failed_logins_are_counted() {
    let statuses = soon(failed_logins::run()).await.unwrap();
    assert_eq!(statuses, [[204; 10].as_slice(), &[401; 5], &[429; 2]].concat());
}

#[tokio::test]
async fn a_call_of_grpc_is_refused_as_grpc_does() {
    let codes = soon(tonic_service::run()).await.unwrap();
    assert_eq!(codes, [Code::Ok, Code::Ok, Code::Ok, Code::ResourceExhausted, Code::Ok]);
}

/// The example asserts it.
#[tokio::test]
async fn a_client_with_the_layer_is_refused_less() {
    soon(llm_client::compare()).await.unwrap();
}
