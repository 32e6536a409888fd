//! Compiles the .proto files without protoc and keeps the descriptor set, which
//! reflection serves and the style test reads.

use std::{env, error::Error, fs, path::PathBuf};

use protox::prost::Message as _;

const FILES: [&str; 13] = [
    "hikyaku/queue/v1/envelope.proto",
    "hikyaku/queue/v1/custody.proto",
    "hikyaku/queue/v1/mail_log.proto",
    "hikyaku/policy/v1/policy_service.proto",
    "hikyaku/directory/v1/directory_service.proto",
    "hikyaku/admin/v1/queue_admin_service.proto",
    "hikyaku/admin/v1/custody_admin_service.proto",
    "hikyaku/admin/v1/node_admin_service.proto",
    "hikyaku/admin/v1/destination_admin_service.proto",
    "hikyaku/admin/v1/dead_letter_admin_service.proto",
    "hikyaku/admin/v1/doctor_admin_service.proto",
    "hikyaku/admin/v1/session_admin_service.proto",
    "hikyaku/admin/v1/message_admin_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=hikyaku");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("hikyaku_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".hikyaku.queue.v1").compile_fds(descriptors)?;
    Ok(())
}
