package tilt

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Ports on which debuggers listen by default, and no server that is usual in a cluster does: Delve, the
// JVM's, Node's, debugpy, Xdebug.
var debuggers = []int{2345, 40000, 5005, 9229, 5678, 9003}

var (
	debuggerName = regexp.MustCompile(`^(debug|debugger|debugpy|dlv|delve|jdwp|inspect|inspector)$`)
	debugCommand = regexp.MustCompile(`\b(dlv|debugpy|rdbg|rdebug-ide)\b|jdwp|--inspect`)
	commandPort  = regexp.MustCompile(`[:=\s](\d{2,5})\b`)
)

// IsDebuggerName reports whether a port's name is a debugger's.
func IsDebuggerName(name string) bool { return debuggerName.MatchString(strings.ToLower(name)) }

// DebugPorts are the forwarded ports on which a debugger listens, by their names, by their numbers, or
// because the command of a workload's image starts one there.
func (t Tiltfile) DebugPorts() []Forward {
	var ports []Forward
	for _, f := range t.Forwards {
		if IsDebuggerName(f.Name) || slices.Contains(debuggers, f.Port) {
			ports = append(ports, f)
		}
	}
	for _, i := range t.Images {
		if !debugCommand.MatchString(i.Command) {
			continue
		}
		for _, m := range commandPort.FindAllStringSubmatch(i.Command, -1) {
			if port, _ := strconv.Atoi(m[1]); port < 1<<16 {
				ports = append(ports, Forward{Place: i.Place, Image: i.Name, Port: port})
			}
		}
	}
	return ports
}

var developmentWords = strings.Fields("dev devel development tilt debug local live liveupdate hot reload")

// IsForDevelopment reports whether the names of the Dockerfile or of its stage say that what it builds is for
// development.
func (i Image) IsForDevelopment() bool {
	words := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return r == '.' || r == '-' || r == '_' })
	}
	return slices.ContainsFunc(append(words(path.Base(i.Dockerfile)), words(i.Target)...), func(w string) bool {
		return slices.Contains(developmentWords, w)
	})
}
