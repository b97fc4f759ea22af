package main

import (
	"fmt"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/plan"
)

// orderRows explain errors of the order of a deploy, and of what it would replace or delete.
var orderRows = []row{
	as("order", codeError, always[*object.ScheduleError]("Correct the annotation. `noHooks: true` leaves out "+
		"the hooks of an environment or a chart that works without them. Nothing was changed.")),
	as("order cycle", codeError, always[*plan.CycleError](
		"Remove one of the annotations that make them wait. Nothing was changed.")),
	as("webhook", codeError, always[*cluster.WebhookError]("Check the pods behind the webhook's Service, or "+
		"delete the webhook configuration if it is unused.")),
	as("prune many", codeError, always[*deploy.PruneManyError](
		"Read the plan, and pass --prune-many to delete all of these objects. Nothing was changed.")),
	as("moved", codeError, func(e *deploy.MovedError) string {
		return fmt.Sprintf("Deploy commit %s again in the current namespace. To return to namespace %s, set it "+
			"in slipway.yaml, and roll back to release %d there. Nothing was changed.",
			short(e.Release.Commit), e.Release.Namespace, e.Release.Revision)
	}),
	as("not pruned", codeUsage, always[*deploy.NotPrunedError](
		"Name it as the plan does, such as --prune PersistentVolumeClaim/data. Nothing was changed.")),
	as("immutable", codeError, func(e *cluster.ImmutableError) string {
		if !e.IsReplaceable() {
			return "Revert the change, or rename the object: these fields can be set only at creation."
		}
		return "Set the annotation `slipway.dev/replace: when-immutable` to have it deleted and created again, " +
			"or rename it: these fields can be set only at creation."
	}),
}
