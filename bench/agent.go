package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// secret signs the webhooks.
const secret = "bench"

// agent is a running `slipway agent run`.
type agent struct {
	process *exec.Cmd
	log     string // its log's file
	address string // HOST:PORT
}

// follow is a repository, and the environments of it that an agent keeps.
type follow struct {
	dir, url, interval string
	environments       []string
}

// publish makes a directory a Git repository, and pushes it to the server.
func (s *server) publish(dir, name string) (follow, error) {
	f := follow{dir: dir, url: s.git + "/" + name + ".git", interval: "15s"}
	return f, errors.Join(f.git("init", "-q", "-b", "main"), f.git("remote", "add", "origin", f.url),
		f.commit("first"))
}

func (f follow) git(args ...string) error {
	cmd := exec.Command("git", append([]string{"-c", "user.name=bench", "-c", "user.email=bench@example.com"},
		args...)...)
	cmd.Dir = f.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return nil
}

func (f follow) commit(message string) error {
	return errors.Join(f.git("add", "-A"), f.git("commit", "-q", "-m", message),
		f.git("push", "-q", "origin", "main"))
}

var listens = regexp.MustCompile(`listening on ([0-9.:]+)`)

// agent starts an agent, and waits until it serves.
func (b *bench) agent(s *server, f follow) (*agent, error) {
	var config strings.Builder
	fmt.Fprintf(&config, "repositories:\n- url: %s\n  interval: %s\n  webhookSecret: %s\n  environments:\n",
		f.url, f.interval, filepath.Join(b.temp, "secret"))
	for _, name := range f.environments {
		fmt.Fprintf(&config, "    %s: {context: %s, onDrift: repair}\n", name, admin)
	}
	config.WriteString("listen: 127.0.0.1:0\n")
	file := filepath.Join(f.dir, ".git", "agent.yaml")
	err := errors.Join(os.WriteFile(file, []byte(config.String()), 0o600),
		os.WriteFile(filepath.Join(b.temp, "secret"), []byte(secret), 0o600))
	if err != nil {
		return nil, err
	}
	a := &agent{process: exec.Command(b.slipway, "agent", "run", "--config", file), log: file + ".log"}
	a.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	a.process.Env = append(os.Environ(), "KUBECONFIG="+s.config, "HOME="+b.home, "TMPDIR="+b.temp)
	out, err := os.Create(a.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	a.process.Stderr = out
	if err := a.process.Start(); err != nil {
		return nil, err
	}
	err = until(time.Minute, func() (bool, error) {
		text, err := os.ReadFile(a.log)
		if m := listens.FindSubmatch(text); m != nil {
			a.address = string(m[1])
		}
		return a.address != "", err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the agent does not serve: %w", err), a.stop())
	}
	return a, nil
}

func (a *agent) stop() error {
	if err := a.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = a.process.Wait() // its exit code says that it was signalled
	return nil
}

// synced waits until all environments run the newest commit of the branch.
func (a *agent) synced(f follow, most time.Duration) error {
	want, err := f.head()
	if err != nil {
		return err
	}
	last := ""
	var took time.Duration
	err = until(most, func() (bool, error) {
		time.Sleep(10 * took) // the status of a thousand environments is long: asking must not be measured
		began := time.Now()
		defer func() { took = time.Since(began) }()
		response, err := http.Get("http://" + a.address + "/status")
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		var all []struct{ Environment, Applied, Verdict, Message, Error string }
		if err := json.NewDecoder(response.Body).Decode(&all); err != nil {
			return false, err
		}
		for _, e := range all {
			if e.Verdict != "synced" || e.Applied != want {
				last = fmt.Sprintf("%s: %s %s %s", e.Environment, e.Verdict, e.Message, e.Error)
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		err = fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// hook says that the branch has moved.
func (a *agent) hook(commit string) error {
	body, err := json.Marshal(map[string]string{"ref": "refs/heads/main", "after": commit})
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	r, err := http.NewRequest(http.MethodPost, "http://"+a.address+"/hooks/0", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("webhook: %s", response.Status)
	}
	return nil
}

// until asks every 20 ms, with a sleep in between: neither a process's log nor its status can be waited for.
func until(most time.Duration, ask func() (bool, error)) error {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if done, err := ask(); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("it did not happen within %s", most)
}

// percentile is the smallest time that so many hundredths of all times do not exceed.
func (w walls) percentile(hundredths int) time.Duration {
	all := slices.Sorted(slices.Values(w))
	return all[(len(all)*hundredths+99)/100-1]
}
