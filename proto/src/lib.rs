//! The generated types and services of `proto/hikyaku`. No logic lives here, and
//! these types do not cross the public API of any other crate.

pub mod queue {
    pub mod v1 {
        tonic::include_proto!("hikyaku.queue.v1");
    }
}

pub mod policy {
    pub mod v1 {
        tonic::include_proto!("hikyaku.policy.v1");
    }
}

pub mod directory {
    pub mod v1 {
        tonic::include_proto!("hikyaku.directory.v1");
    }
}

pub mod admin {
    pub mod v1 {
        tonic::include_proto!("hikyaku.admin.v1");
    }
}

/// The `FileDescriptorSet` of all files, comments included.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hikyaku_descriptor.bin"));
