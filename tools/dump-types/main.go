// SPDX-License-Identifier: Apache-2.0

// Writes proto/dump/, the types that istiod may send to a proxy, from the Go modules that Istio is
// made of: the messages in `roots`, all of the packages in imports.go, and what these need; without
// comments, services and options, but for (udpa.annotations.sensitive). For a newer Istio: set the
// versions in go.mod to those of integration/mesh/tools/istio/go.mod, look at what is new in
// pkg/config/xds/filter_types.gen.go of Istio, and, with Go, in this folder:
//
//	go mod tidy && go run . ../../proto/dump
//
// Everything in that folder is written anew.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
	"sort"
	"strings"

	udpa "github.com/cncf/xds/go/udpa/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Messages, or, ending with a dot, packages with all below them. What imports.go brings along for
// its own sake is reached from these.
var roots = []string{
	"envoy.config.cluster.v3.Cluster",
	"envoy.config.core.v3.TypedExtensionConfig",
	"envoy.config.endpoint.v3.ClusterLoadAssignment",
	"envoy.config.listener.v3.Listener",
	"envoy.config.route.v3.FilterConfig",
	"envoy.config.route.v3.RouteConfiguration",
	"envoy.config.trace.v3.DatadogConfig",
	"envoy.config.trace.v3.DynamicOtConfig",
	"envoy.config.trace.v3.LightstepConfig",
	"envoy.config.trace.v3.OpenTelemetryConfig",
	"envoy.config.trace.v3.SkyWalkingConfig",
	"envoy.config.trace.v3.XRayConfig",
	"envoy.config.trace.v3.ZipkinConfig",
	"envoy.extensions.",
	"envoy.tcp.metadataexchange.config.MetadataExchange",
	"envoy.type.matcher.v3.",
	"google.protobuf.Any",
	"google.protobuf.BoolValue",
	"google.protobuf.BytesValue",
	"google.protobuf.DoubleValue",
	"google.protobuf.Duration",
	"google.protobuf.Empty",
	"google.protobuf.FieldMask",
	"google.protobuf.FloatValue",
	"google.protobuf.Int32Value",
	"google.protobuf.Int64Value",
	"google.protobuf.ListValue",
	"google.protobuf.StringValue",
	"google.protobuf.Struct",
	"google.protobuf.Timestamp",
	"google.protobuf.UInt32Value",
	"google.protobuf.UInt64Value",
	"google.protobuf.Value",
	"io.istio.http.peer_metadata.",
	"istio.envoy.config.filter.",
	"istio.networking.nds.v1.NameTable",
	"stats.PluginConfig",
	"udpa.type.v1.TypedStruct",
	"xds.type.matcher.v3.",
	"xds.type.v3.TypedStruct",
}

// What options need; protoc has to find it. Not types of resources.
var annotations = map[string]string{
	"google/protobuf/descriptor.proto": `syntax = "proto2";
package google.protobuf;
message FieldOptions {
  extensions 1000 to max;
}
`,
	"udpa/annotations/sensitive.proto": `syntax = "proto3";
package udpa.annotations;
import "google/protobuf/descriptor.proto";
extend google.protobuf.FieldOptions {
  bool sensitive = 76569463;
}
`,
}

// set is what shall be written: messages and enums.
type set struct {
	needed map[protoreflect.FullName]bool
	files  map[string]protoreflect.FileDescriptor
}

func isRoot(name protoreflect.FullName) bool {
	for _, root := range roots {
		if string(name) == root || strings.HasSuffix(root, ".") && strings.HasPrefix(string(name), root) {
			return true
		}
	}
	return false
}

// addOuter adds the messages that d is declared inside of: all of them, for with some members only
// they would be read wrongly.
func (s *set) addOuter(d protoreflect.Descriptor) {
	s.files[d.ParentFile().Path()] = d.ParentFile()
	if m, ok := d.Parent().(protoreflect.MessageDescriptor); ok {
		s.addMessage(m)
	}
}

func (s *set) addMessage(m protoreflect.MessageDescriptor) {
	if s.needed[m.FullName()] {
		return
	}
	s.needed[m.FullName()] = true
	s.addOuter(m)
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.Message() != nil {
			s.addMessage(f.Message())
		} else if f.Enum() != nil {
			s.needed[f.Enum().FullName()] = true
			s.addOuter(f.Enum())
		}
	}
}

func collect() *set {
	s := &set{map[protoreflect.FullName]bool{}, map[string]protoreflect.FileDescriptor{}}
	found := map[string]bool{}
	protoregistry.GlobalTypes.RangeMessages(func(t protoreflect.MessageType) bool {
		if m := t.Descriptor(); isRoot(m.FullName()) && !m.IsMapEntry() {
			s.addMessage(m)
			found[string(m.FullName())] = true
		}
		return true
	})
	for _, root := range roots {
		if !strings.HasSuffix(root, ".") && !found[root] {
			log.Fatalf("there is no %s", root)
		}
	}
	return s
}

// printer writes one file.
type printer struct {
	s       *set
	text    strings.Builder
	imports map[string]bool
	path    string
}

func (p *printer) line(depth int, format string, args ...any) {
	p.text.WriteString(strings.Repeat("  ", depth) + fmt.Sprintf(format, args...) + "\n")
}

func (p *printer) use(d protoreflect.Descriptor) string {
	if path := d.ParentFile().Path(); path != p.path {
		p.imports[path] = true
	}
	return "." + string(d.FullName())
}

func (p *printer) typeName(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return fmt.Sprintf("map<%s, %s>", p.typeName(f.MapKey()), p.typeName(f.MapValue()))
	case f.Message() != nil:
		return p.use(f.Message())
	case f.Enum() != nil:
		return p.use(f.Enum())
	default:
		return f.Kind().String()
	}
}

func (p *printer) field(depth int, f protoreflect.FieldDescriptor) {
	label, option := "", ""
	if f.IsList() {
		label = "repeated "
	} else if f.HasOptionalKeyword() {
		label = "optional "
	}
	if proto.GetExtension(f.Options(), udpa.E_Sensitive).(bool) {
		option = " [(udpa.annotations.sensitive) = true]"
		p.imports["udpa/annotations/sensitive.proto"] = true
	}
	p.line(depth, "%s%s %s = %d%s;", label, p.typeName(f), f.Name(), f.Number(), option)
}

func (p *printer) fields(depth int, m protoreflect.MessageDescriptor) {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		one := f.ContainingOneof()
		if one == nil || one.IsSynthetic() {
			p.field(depth, f)
		} else if one.Fields().Get(0) == f {
			p.line(depth, "oneof %s {", one.Name())
			for k := range one.Fields().Len() {
				p.field(depth+1, one.Fields().Get(k))
			}
			p.line(depth, "}")
		}
	}
}

func (p *printer) enums(depth int, enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		e := enums.Get(i)
		if !p.s.needed[e.FullName()] {
			continue
		}
		p.line(depth, "enum %s {", e.Name())
		seen := map[protoreflect.EnumNumber]bool{}
		for k := range e.Values().Len() {
			// Of several names for one number only the first is ever written.
			if v := e.Values().Get(k); !seen[v.Number()] {
				seen[v.Number()] = true
				p.line(depth+1, "%s = %d;", v.Name(), v.Number())
			}
		}
		p.line(depth, "}")
	}
}

func (p *printer) messages(depth int, messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		m := messages.Get(i)
		if m.IsMapEntry() || !p.s.needed[m.FullName()] {
			continue
		}
		p.line(depth, "message %s {", m.Name())
		p.enums(depth+1, m.Enums())
		p.messages(depth+1, m.Messages())
		p.fields(depth+1, m)
		p.line(depth, "}")
	}
}

func (s *set) file(f protoreflect.FileDescriptor) string {
	if f.Syntax() != protoreflect.Proto3 {
		log.Fatalf("%s: what about %s?", f.Path(), f.Syntax())
	}
	p := &printer{s: s, imports: map[string]bool{}, path: f.Path()}
	p.enums(0, f.Enums())
	p.messages(0, f.Messages())
	top := fmt.Sprintf("syntax = \"proto3\";\npackage %s;\n", f.Package())
	for _, path := range sortedKeys(p.imports) {
		top += fmt.Sprintf("import \"%s\";\n", path)
	}
	return top + p.text.String()
}

func sortedKeys[T any](of map[string]T) []string {
	var keys []string
	for key := range of {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// from says which version of which module a file was read from, and its licence.
func from(f protoreflect.FileDescriptor, modules []*debug.Module) (string, string) {
	name := f.Options().(*descriptorpb.FileOptions).GetGoPackage()
	for _, m := range modules {
		if name == m.Path || strings.HasPrefix(name, m.Path+"/") || strings.HasPrefix(name, m.Path+";") {
			if m.Path == "google.golang.org/protobuf" {
				return m.Path + " " + m.Version, "BSD-3-Clause"
			}
			return m.Path + " " + m.Version, "Apache-2.0"
		}
	}
	log.Fatalf("%s: which module has %s?", f.Path(), name)
	return "", ""
}

const head = "// SPDX-License-Identifier: %s\n// %s, by tools/dump-types.\n"

func write(folder, path, text string) {
	name := filepath.Join(folder, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		log.Fatal(err)
	}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run . FOLDER")
	}
	folder := os.Args[1]
	build, ok := debug.ReadBuildInfo()
	if !ok {
		log.Fatal("no build information")
	}
	s := collect()
	if err := os.RemoveAll(folder); err != nil {
		log.Fatal(err)
	}
	for _, path := range sortedKeys(s.files) {
		source, licence := from(s.files[path], build.Deps)
		write(folder, path, fmt.Sprintf(head, licence, "From "+source)+s.file(s.files[path]))
	}
	for _, path := range sortedKeys(annotations) {
		write(folder, path, fmt.Sprintf(head, "Apache-2.0", "What options need")+annotations[path])
	}
	fmt.Printf("%d files\n", len(s.files)+len(annotations))
}
