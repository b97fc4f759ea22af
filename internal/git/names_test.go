package git

import "testing"

func TestNames(t *testing.T) {
	r, git := repository(t)
	write(t, r.Dir, "a", "1")
	git("add", "-A")
	git("commit", "-q", "-m", "first")
	if tag, trunk, err := r.Names(t.Context()); tag != "" || trunk != "" || err != nil {
		t.Errorf("without any: %q, %q, %v", tag, trunk, err)
	}
	git("tag", "v1.0.0")
	git("update-ref", "refs/remotes/origin/trunk", "HEAD")
	git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
	if tag, trunk, err := r.Names(t.Context()); tag != "v1.0.0" || trunk != "trunk" || err != nil {
		t.Errorf("%q, %q, %v", tag, trunk, err)
	}
	s := state(t, r)
	if at, err := r.Time(t.Context(), s.Commit); err != nil || !at.Equal(s.Time) {
		t.Errorf("the commit's time is %s and not %s: %v", at, s.Time, err)
	}
	for _, unknown := range []string{"860c1904a1ce19322e91ac35af1ab07466440c37", "--all"} {
		if at, err := r.Time(t.Context(), unknown); err != nil || !at.IsZero() {
			t.Errorf("the time of %s: %s, %v", unknown, at, err)
		}
	}
}
