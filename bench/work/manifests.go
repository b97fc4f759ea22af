package work

// kinds are a service's manifests in the order of the list of resources; the tenth object of a service
// is generated.
var kinds = []string{
	"deployment", "service", "config", "account", "autoscaler", "budget", "role", "binding", "policy",
}

var manifests = map[string]string{
	"deployment": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  labels:
    app.kubernetes.io/name: NAME
spec:
  replicas: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: NAME
  template:
    metadata:
      labels:
        app.kubernetes.io/name: NAME
    spec:
      serviceAccountName: NAME
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
      initContainers:
      - name: wait
        image: acme/worker
        args: ["wait-for", "http://CALLS/healthz"]
      containers:
      - name: app
        image: acme/IMAGE
        args: ["serve", "--port", "PORT"]
        ports:
        - name: http
          containerPort: PORT
        envFrom:
        - configMapRef:
            name: NAME-env
        env:
        - name: TIMEOUT
          valueFrom:
            configMapKeyRef:
              name: NAME-limits
              key: timeout
        readinessProbe:
          httpGet:
            path: /readyz
            port: http
          periodSeconds: 5
        livenessProbe:
          httpGet:
            path: /healthz
            port: http
          initialDelaySeconds: 10
        resources:
          requests:
            cpu: 20m
            memory: 32Mi
          limits:
            memory: 512Mi
        volumeMounts:
        - name: config
          mountPath: /etc/app
          readOnly: true
      volumes:
      - name: config
        configMap:
          name: NAME-env
`,
	"service": `apiVersion: v1
kind: Service
metadata:
  name: NAME
spec:
  selector:
    app.kubernetes.io/name: NAME
  ports:
  - name: http
    port: PORT
    targetPort: http
`,
	"config": `apiVersion: v1
kind: ConfigMap
metadata:
  name: NAME-limits
data:
  timeout: 30s
  rules.yaml: |
    rules:
    - path: /
      upstream: http://CALLS
      retries: 3
`,
	"account": `apiVersion: v1
kind: ServiceAccount
metadata:
  name: NAME
automountServiceAccountToken: false
`,
	"autoscaler": `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: NAME
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: NAME
  minReplicas: 1
  maxReplicas: 1
  metrics:
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: 80
`,
	"budget": `apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: NAME
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: NAME
`,
	"role": `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: NAME
rules:
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [NAME-limits]
  verbs: [get, watch]
`,
	"binding": `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: NAME
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: NAME
subjects:
- kind: ServiceAccount
  name: NAME
`,
	"policy": `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: NAME
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: NAME
  policyTypes: [Ingress]
  ingress:
  - ports:
    - port: PORT
`,
}
