//! The token, shown with each call.

use std::{fmt, path::PathBuf};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

use crate::{
    follow::{FileError, Followed},
    token::Token,
};

#[derive(Clone)]
pub struct Bearer(Option<Followed<MetadataValue<Ascii>>>);

impl Bearer {
    pub(super) fn start(file: Option<PathBuf>) -> Result<Self, FileError> {
        let Some(path) = file else { return Ok(Self(None)) };
        let files = vec![path.clone()];
        let read = move |contents: &[Vec<u8>]| {
            let text = contents.first().map(|content| String::from_utf8_lossy(content)).unwrap_or_default();
            let token = Token::read(&text).map_err(|error| FileError::content(&path, error))?;
            let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {}", token.expose()).parse();
            let mut value = value.map_err(|error| FileError::content(&path, error))?;
            value.set_sensitive(true);
            Ok(value)
        };
        Ok(Self(Some(Followed::start(files, read)?)))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("has_token", &self.0.is_some()).finish()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", (*token.current()).clone());
        }
        Ok(request)
    }
}
