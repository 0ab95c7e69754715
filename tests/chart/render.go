// Renders a chart as helm does, as far as the chart goes: text/template, sprig, and helm's own few functions. For machines
// without helm. render CHART RELEASE KUBERNETES <values.json, which go over the chart's own; prints {"templates/x.yaml": "text"} as JSON.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func read(path string) map[string]interface{} {
	text, err := os.ReadFile(path)
	must(err)
	value := map[string]interface{}{}
	must(yaml.UnmarshalStrict(text, &value))
	return value
}

func over(to, from map[string]interface{}) {
	for key, value := range from {
		inner, isMap := value.(map[string]interface{})
		old, wasMap := to[key].(map[string]interface{})
		if isMap && wasMap {
			over(old, inner)
		} else {
			to[key] = value
		}
	}
}

func main() {
	chart, release := os.Args[1], os.Args[2]
	values := read(filepath.Join(chart, "values.yaml"))
	own := map[string]interface{}{}
	must(json.NewDecoder(os.Stdin).Decode(&own))
	over(values, own)

	all := template.New("chart").Option("missingkey=error")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	functions["fromJsonArray"] = func(text string) ([]interface{}, error) {
		list := []interface{}{}
		err := json.Unmarshal([]byte(text), &list)
		return list, err
	}
	all.Funcs(functions)
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	must(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(err)
		_, err = all.New("templates/" + filepath.Base(file)).Parse(string(text))
		must(err)
	}
	about := read(filepath.Join(chart, "Chart.yaml"))
	data := map[string]interface{}{
		"Values":  values,
		"Release": map[string]interface{}{"Name": release, "Namespace": "security", "Service": "Helm"},
		"Chart": map[string]interface{}{
			"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"],
		},
		"Capabilities": map[string]interface{}{
			"KubeVersion": map[string]interface{}{"Version": "v" + os.Args[3] + ".0"},
		},
	}
	rendered := map[string]string{}
	for _, file := range files {
		name := "templates/" + filepath.Base(file)
		if strings.HasSuffix(name, ".tpl") {
			continue
		}
		var out bytes.Buffer
		must(all.ExecuteTemplate(&out, name, data))
		rendered[name] = out.String()
	}
	must(json.NewEncoder(os.Stdout).Encode(rendered))
}
