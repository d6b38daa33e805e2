//! The example of clients in two processes; here, in one.

#[allow(dead_code, reason = "the rest of the example")]
#[path = "../../examples/llm_client.rs"]
mod llm_client;

use crate::http_server::soon;
use crate::server::server;

/// The example asserts that the server refuses no call.
#[tokio::test(flavor = "multi_thread")]
async fn two_clients_share_the_limits_of_a_model() {
    let server = server!();
    let url = server.url();
    soon(llm_client::shared::compare(&url, async |address| llm_client::shared::calls(&url, address).await))
        .await
        .unwrap();
}
