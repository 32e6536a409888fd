//! The rules of buf STANDARD that we keep, on the descriptors that the build writes, and
//! comments on everything that a reader of the interface meets.

use hikyaku_proto::DESCRIPTOR;
use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

fn ours() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(DESCRIPTOR).unwrap();
    let files: Vec<_> = set.file.into_iter().filter(|file| file.package().starts_with("hikyaku.")).collect();
    assert!(files.len() >= 4, "the descriptor set holds our files");
    files
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && !name.contains('_')
}

fn is_snake(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// HTTPState -> HTTP_STATE is not needed: our names have no runs of capitals.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    for (index, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && index > 0 {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
    }
    text
}

#[test]
fn packages_are_folders_and_versioned() {
    for file in ours() {
        let folder = file.name().rsplit_once('/').unwrap().0.replace('/', ".");
        assert_eq!(file.package(), folder, "{}", file.name());
        assert!(file.package().ends_with(".v1"), "{}", file.package());
        assert_eq!(file.syntax(), "proto3", "{}", file.name());
    }
}

#[test]
fn messages_and_fields_are_named_as_everywhere() {
    fn check(message: &DescriptorProto) {
        assert!(is_pascal(message.name()), "{}", message.name());
        for field in &message.field {
            assert!(is_snake(field.name()), "{}.{}", message.name(), field.name());
        }
        message.nested_type.iter().for_each(check);
    }
    ours().iter().flat_map(|file| &file.message_type).for_each(check);
}

#[test]
fn enum_values_carry_their_type_and_begin_unspecified() {
    let check = |kind: &EnumDescriptorProto| {
        let prefix = screaming(kind.name());
        let first = kind.value.first().unwrap();
        assert_eq!((first.name(), first.number()), (format!("{prefix}_UNSPECIFIED").as_str(), 0));
        for value in &kind.value {
            assert!(value.name().starts_with(&format!("{prefix}_")), "{}", value.name());
        }
    };
    ours().iter().flat_map(|file| &file.enum_type).for_each(check);
}

#[test]
fn each_call_has_messages_of_its_own() {
    for file in ours() {
        for service in &file.service {
            assert!(service.name().ends_with("Service"), "{}", service.name());
            for method in &service.method {
                let own = |kind: &str| format!(".{}.{}{kind}", file.package(), method.name());
                assert_eq!(method.input_type(), own("Request"));
                assert_eq!(method.output_type(), own("Response"));
            }
        }
    }
}

/// Services, calls, messages, fields and enums, but not the values of an enum, whose names speak.
#[test]
fn everything_has_a_comment() {
    for file in ours() {
        let info = file.source_code_info.as_ref().unwrap();
        let commented = |path: &[i32]| {
            info.location
                .iter()
                .any(|place| place.path == path && !place.leading_comments().trim().is_empty())
        };
        // Numbers of FileDescriptorProto: message_type 4, enum_type 5, service 6.
        for (index, message) in (0..).zip(&file.message_type) {
            assert!(commented(&[4, index]), "{} has no comment", message.name());
            for (number, field) in (0..).zip(&message.field) {
                assert!(
                    commented(&[4, index, 2, number]),
                    "{}.{} has no comment",
                    message.name(),
                    field.name()
                );
            }
        }
        for (index, kind) in (0..).zip(&file.enum_type) {
            assert!(commented(&[5, index]), "{} has no comment", kind.name());
        }
        for (index, service) in (0..).zip(&file.service) {
            assert!(commented(&[6, index]), "{} has no comment", service.name());
            for (number, method) in (0..).zip(&service.method) {
                assert!(commented(&[6, index, 2, number]), "{} has no comment", method.name());
            }
        }
    }
}
