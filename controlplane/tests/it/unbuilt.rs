//! Routes of the contract that are not served yet say so.

use serde_json::json;

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, failure, flow};

fn edge() -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    let data_plane = FakeDataPlane::start(folder.path(), 1);
    folder.write_config(&[flow("a", 5000)]);
    let edge = ControlPlane::start(folder);
    edge.wait_for_data_plane("connected");
    (edge, data_plane)
}

#[test]
fn tunnels_answer_without_an_envelope() {
    let (edge, _data_plane) = edge();
    let answer = || {
        let error = "this version of bilbycast-edge does not run tunnels";
        (501, json!({"error": error}))
    };
    assert_eq!(edge.get("/api/v1/tunnels"), answer());
    assert_eq!(edge.post("/api/v1/tunnels", &json!({})), answer());
    assert_eq!(edge.get("/api/v1/tunnels/x"), answer());
    assert_eq!(edge.delete("/api/v1/tunnels/x"), answer());
    assert_eq!(edge.put("/api/v1/tunnels/x", &json!({})).0, 405);
}

#[test]
fn webrtc_answers_in_the_envelope() {
    let (edge, _data_plane) = edge();
    for way in ["whip", "whep"] {
        let error = "this version of bilbycast-edge does not serve WHIP and WHEP";
        let path = format!("/api/v1/flows/a/{way}");
        assert_eq!(edge.act(&path), failure(501, error));
        assert_eq!(edge.delete(&format!("{path}/1")), failure(501, error));
        assert_eq!(edge.get(&path).0, 405);
        let unknown = edge.act(&format!("/api/v1/flows/b%20c/{way}"));
        assert_eq!(unknown, failure(404, "Flow 'b c' not found"));
    }
}
