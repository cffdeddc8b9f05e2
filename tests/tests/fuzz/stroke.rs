//! What a client may write to the stroke socket.

use control::frame;
use control::stroke::Request;

use super::corpus::replay;

#[test]
fn any_stream_ends_in_requests_that_survive_encoding_or_in_an_error() {
    let mut requests = 0;
    replay("stroke", 2000, |octets| {
        let mut stream = octets;
        while let Ok(Some(packet)) = frame::read(&mut stream) {
            if let Ok(request) = Request::decode(&packet) {
                requests += 1;
                assert_eq!(
                    Request::decode(&request.encode().expect("it came so")),
                    Ok(request)
                );
            }
        }
    });
    assert!(requests > 1000, "only {requests} requests were understood");
}
