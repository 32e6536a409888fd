use super::{
    helm::{helm, shapes, validate},
    objects::text,
};

/// The oldest that Chart.yaml lets in, and the newest that the package knows.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

#[test]
fn every_shape_is_linted() {
    let Some(helm) = helm() else { return };
    for shape in shapes() {
        let said = helm.lint(&shape).unwrap_or_else(|error| panic!("{shape}: {error}"));
        assert!(said.contains("0 chart(s) failed") && !said.contains("[WARNING]"), "{shape}: {said}");
    }
}

#[test]
fn every_object_is_what_kubernetes_takes() {
    let Some(helm) = helm() else { return };
    for shape in shapes() {
        let objects = helm.shape(&shape);
        assert!(objects.0.len() > 20, "{shape}: {} objects", objects.0.len());
        let problems = validate(&objects, &VERSIONS);
        assert!(problems.is_empty(), "{shape}: {problems}");
        let mut names: Vec<_> =
            objects.0.iter().map(|object| (text(object, "/kind"), text(object, "/metadata/name"))).collect();
        assert!(names.iter().all(|(_, name)| name.len() <= 63), "{names:?}");
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{shape}: an object stands twice");
    }
}

/// The validator itself is tried: what it does not know it would not find.
#[test]
fn an_unknown_field_is_found() {
    let Some(helm) = helm() else { return };
    let mut objects = super::objects::Objects(helm.shape("minimal").0.clone());
    for object in &mut objects.0 {
        if object["kind"] == "Deployment" {
            object["spec"]["template"]["spec"]["hostnetwork"] = true.into();
        }
    }
    assert!(validate(&objects, &["1.30"]).contains("hostnetwork"));
}
