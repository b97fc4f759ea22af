package helm_test

import (
	"fmt"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"

	"slipway/internal/project"
	"slipway/internal/render/helm"
)

// expressions are template expressions to print.
var expressions = []string{
	`toYaml .Values`, `toYamlPretty .Values`, `toJson .Values`, `toPrettyJson .Values.m`, `toToml .Values.m`,
	`mustToYaml .Values.l`,
	`(fromYaml "a: [1, {b: c}]").a`, `(fromYaml ":").Error`, `fromYamlArray "[a, 1]"`, `fromYamlArray "a: b"`,
	`(fromJson "{\"a\": 1}").a`, `fromJson "x"`, `fromJsonArray "[1]"`,
	`(fromToml "a = 1").a`, `durationSeconds "1h30m"`, `durationMinutes 90`, `durationHours "x"`,
	`durationDays "48h"`, `durationWeeks "168h"`,
	`durationMilliseconds "2.5"`, `durationNanoseconds 1`, `durationMicroseconds 1.5`,
	`durationRoundTo "2h13m" "30m"`, `durationTruncateTo "2h43m" "30m"`, `mustToDuration "1m"`,
	`indent 2 "a\nb"`, `nindent 2 "a\nb"`, `repeat 3 "ab"`, `replace "a" "bb" "banana"`, `join "," .Values.l`,
	`join "," "x"`, `until 5`, `until -3`, `untilStep 1 10 4`, `untilStep 5 0 -2`,
	`untilStep 1 5 0`, `untilStep 5 1 1`, `seq 3`, `seq 2 5`, `seq 5 2`, `seq 1 2 9`,
	`printf "%05.1f|%-4s|%v" 2.25 "x" .Values.l`, `print 1 2 "a" "b" 3`, `println "a"`,
	`quote nil "a" 1`, `squote "a" 2`, `cat "a" nil 1`, `html "<a>"`, `js "'"`, `urlquery "a b"`,
	`list 1 "a" nil`, `tuple 1`, `append .Values.l 9`, `prepend .Values.l 9`, `concat .Values.l (list 1)`,
	`toStrings .Values.l`, `regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W"`,
	`regexReplaceAllLiteral "a" "banana" "$1"`, `merge (dict "a" 1) (dict "a" 2 "b" 3)`,
	`mergeOverwrite (dict "a" 1) (dict "a" 2)`, `set (dict "a" 1) "b" 2`, `unset (dict "a" 1 "b" 2) "a"`,
	`deepCopy .Values.m`, `.Values.missing`, `.Values.nothing`, `default "d" .Values.missing`,
	`$d := dict "a" 1`, `tpl "{{ .Values.s }}{{ .Values.missing }}" .`,
	`tpl "{{ define \"q\" }}x{{ end }}{{ include \"q\" . }}" .`, `tpl "<no value>" .`, `include "part" .`,
	`include "part" (dict "Values" (dict "s" 1))`,
	`tpl "{{ include \"part\" . }}{{ template \"part\" . }}" .`,
	`tpl "{{ range .Values.l }}{{ . }}{{ break }}{{ end }}" .`, `.Template.Name`, `.Template.BasePath`,
	`.Chart.Name`, `.Chart.Type`, `.Chart.Maintainers`,
	`.Subcharts`, `.Files.Get "x"`, `.Files.AsConfig`, `.Files.AsSecrets`, `.Capabilities.APIVersions.Has "v1"`,
	`date "2006-01-02" (toDate "2006-01-02" "2020-03-04")`, `htmlDate 0`, `dateInZone "15:04" 0 "UTC"`,
	`wrapWith 3 "|" "a bc def"`, `title "a b"`, `semverCompare ">=1.2" "1.3.0"`, `b64enc "x" | b64dec`,
	`sha256sum "x"`, `ternary 1 2 true`, `dig "a" "b" "x" .Values.m`, `lookup "v1" "Pod" "" ""`,
	`required "x" 0`,
	`toYaml (dict "a" "yes" "b" "1e3" "c" "a: b" "d" "multi\nline\n" "e" 1.5 "f" nil)`,
}

// TestFunctionsAsHelm prints expressions through Helm's own engine and through ours.
func TestFunctionsAsHelm(t *testing.T) {
	const values = "s: text\nl: [1, a, true]\nm: {a: {b: c}, d: 1}\nnothing: null\n"
	var body strings.Builder
	for i, e := range expressions {
		if name, _, ok := strings.Cut(e, " := "); ok {
			fmt.Fprintf(&body, "  e%d: {{ %s }}{{ toYaml %s | quote }}{{ $_ := set %s \"a\" 2 }}\n  f%d: {{ toYaml "+
				"%s | quote }}{{ $_ := unset %s \"a\" }}\n  g%d: {{ toYaml %s | quote }}{{ $_ := merge %s (dict \"z\" "+
				"1) }}\n  h%d: {{ toYaml %s | quote }}\n",
				i, e, name, name, i, name, name, i, name, name, i, name)
			continue
		}
		fmt.Fprintf(&body, "  e%d: {{ print (%s) | quote }}\n", i, e)
	}
	template := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n" + body.String()
	const part = "{{ define \"part\" }}[{{ .Values.s }}]{{ end }}"

	theirs := &chart.Chart{
		Metadata: &chart.Metadata{Name: "web", Version: "1.0.0", APIVersion: "v2",
			Maintainers: []*chart.Maintainer{{Name: "me"}}},
		Templates: []*common.File{{Name: "templates/c.yaml", Data: []byte(template)}, {Name: "templates/_p.tpl",
			Data: []byte(part)}},
		Files: []*common.File{{Name: "x", Data: []byte("one\n")}},
	}
	if err := yaml.Unmarshal([]byte(values), &theirs.Values); err != nil {
		t.Fatal(err)
	}
	all, err := util.ToRenderValues(theirs, nil, common.ReleaseOptions{Name: "rel"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := engine.Engine{}.RenderWithContext(t.Context(), theirs, all)
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ Data map[string]string }
	if err := yaml.Unmarshal([]byte(texts["web/templates/c.yaml"]), &want); err != nil {
		t.Fatal(err)
	}
	dir := chartDir(t, "-- Chart.yaml --\napiVersion: v2\nname: web\nversion: 1.0.0\nmaintainers: [{name: "+
		"me}]\n-- values.yaml --\n"+values+"-- x --\none\n-- templates/_p.tpl --\n"+part+
		"\n-- templates/c.yaml --\n"+template)
	got := data(t, dir, project.Chart{}, helm.Options{})
	for i, e := range expressions {
		for _, key := range []string{"e", "f", "g", "h"} {
			if key = fmt.Sprint(key, i); got[key] != any(want.Data[key]) && (got[key] != nil || want.Data[key] != "") {
				t.Errorf("%s\nhelm: %q\nwe:   %q", e, want.Data[key], got[key])
			}
		}
	}
}
