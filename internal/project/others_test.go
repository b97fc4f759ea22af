package project

import "testing"

// The tutorial has overlays, which are taken, and a chart beside them, which is checked.
func TestOthers(t *testing.T) {
	p, err := Open("../../examples/tutorial")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Environments) != 2 || p.Environments[0].Name != "dev" || p.Environments[1].Name != "prod" {
		t.Errorf("environments: %+v", p.Environments)
	}
	if len(p.Others) != 1 || p.Others[0].Name != "chart-prod" || p.Others[0].Class != Production ||
		p.Others[0].Charts[0].Release != "tutorial" {
		t.Errorf("others: %+v", p.Others)
	}
}
