package controlplane

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"k8s.io/klog/v2"
)

// RedirectLogs sends what the components log, all of them, to one place. klog is global, so this is
// for the whole process; ctx is that of its life.
func RedirectLogs(ctx context.Context, w io.Writer, verbosity int) error {
	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(fs)
	for _, kv := range [][2]string{
		{"logtostderr", "false"},
		{"alsologtostderr", "false"},
		{"stderrthreshold", "FATAL"},
		{"one_output", "true"}, // else an error is written once for each severity below it
		{"v", fmt.Sprint(verbosity)},
	} {
		if err := fs.Set(kv[0], kv[1]); err != nil {
			return err
		}
	}
	klog.SetOutput(w)
	// An API server that is stopped while it starts gives up fatally, and would end the process in the
	// middle of an orderly stop.
	klog.OsExit = func(code int) {
		if ctx.Err() != nil {
			select {}
		}
		os.Exit(code)
	}
	log.SetOutput(w)
	return nil
}
