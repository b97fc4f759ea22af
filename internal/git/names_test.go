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
	if c, found := r.Find(t.Context(), s.Commit); !found || !c.Time.Equal(s.Time) {
		t.Errorf("the commit's time is %s and not %s", c.Time, s.Time)
	}
	for _, unknown := range []string{"860c1904a1ce19322e91ac35af1ab07466440c37", "--all", "HEAD"} {
		if c, found := r.Find(t.Context(), unknown); found || !c.Time.IsZero() {
			t.Errorf("%s: %+v", unknown, c)
		}
	}
}
