//! Steps of AUTH: wire to ours and back.

use hikyaku_proto::policy::v1::{self as proto, authenticate_request::Proof as WireProof};
use secrecy::SecretString;

use super::{
    policy::{accepted, client, refused},
    status::CallError,
};
use crate::{
    authenticate::{Answer, Proof, Question},
    rules::decision::{DecidedBy, Reach},
};

pub(super) fn question(request: proto::AuthenticateRequest) -> Result<Question, CallError> {
    let proto::AuthenticateRequest { client: address, login, proof } = request;
    let proof = match proof.ok_or(CallError::Proof)? {
        WireProof::Password(proto::PasswordProof { password }) => {
            Proof::Password(SecretString::from(password))
        }
        WireProof::CramMd5(proto::CramMd5Proof { challenge, digest }) => Proof::CramMd5 { challenge, digest },
        WireProof::ScramStart(proto::ScramStart {}) => Proof::ScramStart,
        WireProof::ScramProof(proto::ScramProof { auth_message, client_proof }) => {
            Proof::Scram { auth_message, client_proof }
        }
    };
    Ok(Question { client: client(&address)?, login, proof })
}

pub(super) fn response(answer: Answer) -> proto::AuthenticateResponse {
    let by = DecidedBy::Credentials;
    match answer {
        Answer::Accept { identity, server_signature } => proto::AuthenticateResponse {
            decision: Some(accepted(by, Reach::ADDRESS)),
            identity: identity.to_string(),
            scram_server_signature: server_signature,
            ..proto::AuthenticateResponse::default()
        },
        Answer::Continue { salt, iterations } => proto::AuthenticateResponse {
            decision: Some(accepted(by, Reach::ADDRESS)),
            scram_parameters: Some(proto::ScramParameters { salt, iterations }),
            ..proto::AuthenticateResponse::default()
        },
        Answer::Refuse(reply) => proto::AuthenticateResponse {
            decision: Some(refused(&reply, by, Reach::ADDRESS)),
            ..proto::AuthenticateResponse::default()
        },
    }
}
