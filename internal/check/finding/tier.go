package finding

// Counts are how many findings of each kind a report has. Hardening and gaps are warnings, too.
type Counts struct {
	Errors    int `json:"errors"`
	Warnings  int `json:"warnings"`
	Gaps      int `json:"gaps"`
	Hardening int `json:"hardening"`
}

// Count counts findings.
func Count(all []Finding) Counts {
	var c Counts
	for _, f := range all {
		if f.Severity == Error {
			c.Errors++
		} else {
			c.Warnings++
		}
		switch f.Tier {
		case Gap:
			c.Gaps++
		case Hardening:
			c.Hardening++
		}
	}
	return c
}

// Divided are the findings of a report by how much attention they ask for.
type Divided struct {
	// Full are those to read one by one: the faults.
	Full []Finding
	// Gaps and Hardening are the others, by rule.
	Gaps, Hardening []Fold
}

// Divide divides findings; with everything, all are to be read one by one.
func Divide(all []Finding, everything bool) Divided {
	var d Divided
	var gaps, hardening []Finding
	for _, f := range all {
		switch {
		case everything || f.Tier == "" || f.Tier == Fault:
			d.Full = append(d.Full, f)
		case f.Tier == Gap:
			gaps = append(gaps, f)
		default:
			hardening = append(hardening, f)
		}
	}
	ofRule := func(f Finding) string { return f.Rule }
	d.Gaps, d.Hardening = FoldBy(gaps, ofRule), FoldBy(hardening, ofRule)
	return d
}

// Sole is what all findings of a fold say of files; false where they say different things, or are about
// objects.
func (f Fold) Sole() (message string, ok bool) {
	for _, one := range f {
		if one.Object != nil || one.Message != f[0].Message {
			return "", false
		}
	}
	return f[0].Message, true
}
