package render

import (
	"slices"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// verifies says that a file has the Job of a verification.
func (s *source) verifies(file string) bool {
	return file != "" && slices.ContainsFunc(s.env.Verify, func(v project.Verification) bool {
		return v.Job == file
	})
}

// asVerification makes a Job a hook that runs after a deploy, and that a next run replaces.
func asVerification(o object.Object) (object.Object, error) {
	if r := o.Ref(); r.Group != "batch" || r.Kind != "Job" {
		return o, &tree.RefusedError{Origin: o.Origin, What: r.String() + " is not a Job",
			Why: "the job of a verification runs to its end"}
	}
	if o.IsHook() {
		return o, nil
	}
	o = o.Clone()
	metadata := object.Mapping(o.Body["metadata"])
	annotations := object.Mapping(metadata["annotations"])
	if annotations == nil {
		annotations = map[string]any{}
		metadata["annotations"] = annotations
	}
	annotations["helm.sh/hook"] = "post-install,post-upgrade"
	annotations["helm.sh/hook-delete-policy"] = "before-hook-creation"
	return o, nil
}
